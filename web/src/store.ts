/** The one place where state changes, and the one beat at which the page is drawn. */

import { reduce, type Event, type State } from "./state";

export type Draw = (state: State, before: State | null) => void;

export class Store {
  private drawn: State | null = null;
  private waiting = false;
  private readonly draws: Draw[] = [];

  constructor(
    private current: State,
    private readonly beat: (run: () => void) => void = (run): void => void requestAnimationFrame(run),
  ) {}

  get state(): State {
    return this.current;
  }

  dispatch(event: Event): void {
    this.current = reduce(this.current, event);
    if (this.waiting) return;
    this.waiting = true;
    this.beat(() => {
      this.flush();
    });
  }

  /** Draw whenever something changed, at most once a frame. */
  onDraw(draw: Draw): void {
    this.draws.push(draw);
    draw(this.current, null);
  }

  private flush(): void {
    this.waiting = false;
    const before = this.drawn;
    this.drawn = this.current;
    for (const draw of this.draws) draw(this.current, before);
  }
}

/** Draw only when one of the named parts of the state is another than before. */
export function when(parts: readonly (keyof State)[], draw: (state: State) => void): Draw {
  return (state, before) => {
    if (!before || parts.some((part) => state[part] !== before[part])) draw(state);
  };
}
