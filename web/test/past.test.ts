import { describe, expect, it } from "vitest";
import { missing, MOST_IN_SIGHT, Past, together, type Said, type Sight, type Span } from "../src/past";
import { initial, reduce, saidSince } from "../src/state";
import { answer, MINUTE, prediction } from "./made";

const SCREEN = 100;

/** A screen that ends at a minute, where all is known since the minute 10,000. */
function sight(end: number, change: Partial<Sight> = {}): Sight {
  const seen = { from: (end - SCREEN) * MINUTE, to: end * MINUTE };
  return { seen, known: 10_000 * MINUTE, step: MINUTE, ...change };
}

const minutes = (span: Span | null): number[] => (span ? [span.from / MINUTE, span.to / MINUTE] : []);
const NOWHERE = { from: Infinity, to: -Infinity };

describe("what is asked for of the past", () => {
  it("is what is in sight and not known, with half a screen on either side", () => {
    expect(minutes(missing(sight(500), NOWHERE))).toEqual([350, 550]);
    expect(minutes(missing(sight(10_050), NOWHERE))).toEqual([9900, 10_050]);
  });

  it("is nothing where all in sight is known or held", () => {
    expect(missing(sight(10_100), NOWHERE)).toBeNull();
    const held = { from: 350 * MINUTE, to: 550 * MINUTE };
    for (const end of [450, 500, 550]) expect(missing(sight(end), held)).toBeNull();
    for (const end of [449, 551]) expect(missing(sight(end), held)).not.toBeNull();
  });

  it("is nothing where too much is in sight", () => {
    const seen = { from: 0, to: (MOST_IN_SIGHT + 1) * MINUTE };
    expect(missing(sight(0, { seen }), NOWHERE)).toBeNull();
  });

  it("begins where not all is kept any more of what is newest", () => {
    const rows = [prediction(20), prediction(21)];
    const state = reduce(initial(0, "dark", "utc"), { kind: "predictions", rows });
    expect(saidSince(state)).toBe(25 * MINUTE);
    expect(saidSince(reduce(state, { kind: "answers", rows: [answer(40, "regime")] }))).toBe(40 * MINUTE);
    expect(saidSince(initial(0, "dark", "utc"))).toBe(-Infinity);
  });
});

describe("Past", () => {
  const rowsOf = ({ from, to }: Span): Said => {
    const predictions = [];
    for (let minute = from / MINUTE; minute < to / MINUTE; minute++) predictions.push(prediction(minute));
    return { predictions, answers: [], late: [] };
  };

  /** One whose questions are answered when the test says so. */
  function slow(): { past: Past<Said>; asked: Span[]; shown: Said[]; tell: (answered?: boolean) => Promise<void> } {
    const asked: Span[] = [];
    const shown: Said[] = [];
    const waiting: ((said: Said | undefined) => void)[] = [];
    const ask = (span: Span): Promise<Said | undefined> => {
      asked.push(span);
      return new Promise((resolve) => waiting.push(resolve));
    };
    const past = new Past(ask, (said) => shown.push(said));
    const tell = async (answered = true): Promise<void> => {
      const span = asked.at(-1);
      waiting.shift()?.(answered && span ? rowsOf(span) : undefined);
      for (let turn = 0; turn < 5; turn++) await Promise.resolve();
    };
    return { past, asked, shown, tell };
  }

  it("asks once while one drags, and then for where one is", async () => {
    const { past, asked, shown, tell } = slow();
    for (const end of [900, 800, 700, 300]) void past.look(sight(end));
    expect(asked.map(minutes)).toEqual([[750, 950]]);
    await tell();
    expect(asked.map(minutes)).toEqual([
      [750, 950],
      [150, 350],
    ]);
    await tell();
    await tell();
    expect([asked.length, shown.length]).toEqual([2, 2]);
  });

  it("never holds more than two screens, however far one drags", async () => {
    const held: number[] = [];
    const past = new Past(
      (span) => Promise.resolve(rowsOf(span)),
      (said) => held.push(said.predictions.length),
    );
    for (let end = 10_000; end > 200; end -= 30) await past.look(sight(end));
    expect(Math.max(...held)).toBe(2 * SCREEN);
    expect(held.length).toBeGreaterThan(100);
  });

  it("asks again where no answer came, at the next look", async () => {
    const { past, asked, shown, tell } = slow();
    void past.look(sight(500));
    await tell(false);
    expect([asked.length, shown.length]).toEqual([1, 0]);
    void past.look(sight(500));
    await tell();
    expect([asked.length, shown.length]).toEqual([2, 1]);
  });

  it("shows nothing of an instrument that was left", async () => {
    const { past, asked, shown, tell } = slow();
    void past.look(sight(500));
    past.clear();
    await tell();
    expect([asked.length, shown.length]).toEqual([1, 0]);
  });

  it("lets the newest win where both hold a row", () => {
    const scored = { knownAt: 0, value: 0, price: 1, error: 0, inside: true, hit: true };
    const both = together([prediction(1), prediction(2)], [prediction(2, { outcome: scored }), prediction(3)]);
    expect(both.map((one) => [one.id, one.outcome !== null])).toEqual([
      ["p1", false],
      ["p2", true],
      ["p3", false],
    ]);
  });
});
