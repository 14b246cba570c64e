/** The live stream: one WebSocket that subscribes, resumes where it was, and comes back by itself. */

export interface Want {
  instrument: string | null;
  timeframe: string;
}

export interface StreamMessage {
  op?: string;
  seq?: number;
  epoch?: string;
  channel?: string;
  type?: "snapshot" | "update";
  instrument?: string;
  data?: unknown;
  dropped?: number;
  detail?: unknown;
}

export type Phase = "connecting" | "live" | "waiting";

export interface Link {
  phase: Phase;
  /** When this phase began, ms of the page's own clock. */
  since: number;
  attempt: number;
  /** When the next attempt begins; null unless waiting. */
  retryAt: number | null;
}

export interface Timers {
  now(): number;
  after(milliseconds: number, run: () => void): number;
  cancel(id: number): void;
}

export interface Socket {
  send(text: string): void;
  close(): void;
  onopen: (() => void) | null;
  onclose: (() => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
}

export interface Listener {
  link(link: Link): void;
  message(message: StreamMessage): void;
  /** What was missed cannot be had from the stream: ask for it again. */
  reset(): void;
}

const CHANNELS = ["candles", "running", "features", "predictions", "outcomes", "answers", "gaps", "trades"];
const FIRST_WAIT = 500;
const LONGEST_WAIT = 10_000;
const SILENCE = 20_000;

/** The wait before an attempt: doubled each time up to a limit, and spread so that pages do not return as one. */
export function backoff(attempt: number, spread: number): number {
  return Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** Math.min(attempt, 10)) * (0.75 + spread / 2);
}

export class Stream {
  private socket: Socket | null = null;
  private link: Link;
  private seq: number | null = null;
  private epoch: string | null = null;
  private want: Want = { instrument: null, timeframe: "1m" };
  private watchdog: number | null = null;
  private retry: number | null = null;
  private asked = 0;

  constructor(
    private readonly open: () => Socket,
    private readonly timers: Timers,
    private readonly listener: Listener,
    private readonly token: () => string = () => "",
    private readonly random: () => number = Math.random,
  ) {
    this.link = { phase: "connecting", since: timers.now(), attempt: 0, retryAt: null };
  }

  /** Say what is wanted; the stream is told at once, or when it is there. */
  follow(want: Want): void {
    const before = this.want;
    this.want = want;
    if (this.link.phase !== "live") return;
    if (before.instrument) this.send({ op: "unsubscribe", channels: CHANNELS, instruments: [before.instrument] });
    this.subscribe(null);
  }

  connect(): void {
    if (this.retry !== null) this.timers.cancel(this.retry);
    this.retry = null;
    this.enter({ phase: "connecting", retryAt: null });
    const socket = this.open();
    this.socket = socket;
    socket.onopen = (): void => {
      this.enter({ phase: "live", retryAt: null, attempt: 0 });
      const token = this.token();
      if (token) this.send({ op: "auth", token });
      this.send({ op: "subscribe", channels: ["status"], instruments: ["*"], id: ++this.asked });
      this.subscribe(this.seq);
      this.watch();
    };
    socket.onmessage = (event): void => {
      this.watch();
      if (typeof event.data === "string") this.take(JSON.parse(event.data) as StreamMessage);
    };
    socket.onclose = (): void => {
      if (this.socket === socket) this.lost();
    };
    this.watch();
  }

  /** Begin anew at once: with a token that was not there before. */
  again(): void {
    this.leave();
    this.connect();
  }

  private subscribe(resume: number | null): void {
    const { instrument, timeframe } = this.want;
    if (!instrument) return;
    const message = { op: "subscribe", channels: CHANNELS, instruments: [instrument], timeframes: [timeframe] };
    this.send({ ...message, id: ++this.asked, ...(resume === null ? {} : { resume, epoch: this.epoch }) });
  }

  private take(message: StreamMessage): void {
    if (message.epoch !== undefined) {
      if (this.epoch !== null && this.epoch !== message.epoch) {
        this.seq = null;
        this.listener.reset();
      }
      this.epoch = message.epoch;
    }
    if (message.seq !== undefined) this.seq = message.seq;
    if (message.op === "reset" || message.op === "lagged") this.listener.reset();
    this.listener.message(message);
  }

  private send(message: object): void {
    this.socket?.send(JSON.stringify(message));
  }

  /** Ask for a sign of life when none came for long; without an answer the line is given up. */
  private watch(asked = false): void {
    if (this.watchdog !== null) this.timers.cancel(this.watchdog);
    this.watchdog = this.timers.after(SILENCE / 2, () => {
      if (asked || this.link.phase !== "live") {
        this.lost();
        return;
      }
      this.send({ op: "ping" });
      this.watch(true);
    });
  }

  private leave(): void {
    const { socket } = this;
    this.socket = null;
    if (this.watchdog !== null) this.timers.cancel(this.watchdog);
    if (!socket) return;
    socket.onclose = socket.onmessage = socket.onopen = null;
    socket.close();
  }

  private lost(): void {
    this.leave();
    const wait = backoff(this.link.attempt, this.random());
    this.enter({ phase: "waiting", attempt: this.link.attempt + 1, retryAt: this.timers.now() + wait });
    this.retry = this.timers.after(wait, () => {
      this.connect();
    });
  }

  private enter(change: Partial<Link>): void {
    const since = change.phase === this.link.phase ? this.link.since : this.timers.now();
    this.link = { ...this.link, ...change, since };
    this.listener.link(this.link);
  }
}
