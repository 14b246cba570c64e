/** A socket and a clock that do what a test says. */

import type { Socket, StreamMessage, Timers } from "../src/stream";

export class FakeSocket implements Socket {
  sent: Record<string, unknown>[] = [];
  closed = false;
  onopen: (() => void) | null = null;
  onclose: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;

  send(text: string): void {
    this.sent.push(JSON.parse(text) as Record<string, unknown>);
  }

  close(): void {
    this.closed = true;
  }

  tell(message: StreamMessage): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
}

export class FakeTimers implements Timers {
  time = 0;
  private waiting = new Map<number, { at: number; run: () => void }>();
  private last = 0;

  now = (): number => this.time;

  after = (wait: number, run: () => void): number => {
    this.waiting.set(++this.last, { at: this.time + wait, run });
    return this.last;
  };

  cancel = (id: number): void => {
    this.waiting.delete(id);
  };

  pass(milliseconds: number): void {
    const end = this.time + milliseconds;
    for (;;) {
      const [id, next] = [...this.waiting].sort(([, a], [, b]) => a.at - b.at)[0] ?? [];
      if (id === undefined || !next || next.at > end) break;
      this.waiting.delete(id);
      this.time = next.at;
      next.run();
    }
    this.time = end;
  }
}
