/** An answer of the API that is asked for while somebody looks at it. */

import { Problem } from "./api";

export interface Answer<Value> {
  value: Value | null;
  problem: string | null;
}

export class Polled<Value> {
  private timer: number | null = null;
  private turn = 0;

  constructor(
    private readonly ask: () => Promise<Value>,
    private readonly show: (answer: Answer<Value>) => void,
    private readonly every: number,
  ) {}

  /** Ask now, and then again and again until `stop`. */
  start(): void {
    this.stop();
    void this.once();
    this.timer = window.setInterval(() => {
      if (!document.hidden) void this.once();
    }, this.every);
  }

  stop(): void {
    if (this.timer !== null) window.clearInterval(this.timer);
    this.timer = null;
    this.turn++;
  }

  async once(): Promise<void> {
    const turn = ++this.turn;
    try {
      const value = await this.ask();
      if (turn === this.turn) this.show({ value, problem: null });
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (turn === this.turn) this.show({ value: null, problem: error.message });
    }
  }
}
