/** The routes under /v1 that the page asks. */

import type { AnswerRow, CandleRow, FeatureRow, PredictionRow } from "./wire";

/** What the process asks of other machines; kept only while the page is open. */
let token = "";

export function useToken(given: string): void {
  token = given;
}

export function tokenInUse(): string {
  return token;
}

export class Problem extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

export interface Page<Row> {
  items: Row[];
  next: string | null;
}

export interface InstrumentRow {
  instrument: string;
  venue?: string;
  simulated?: boolean;
  first?: string | null;
  last?: string | null;
  timeframes: string[];
  feature_sets?: string[];
}

type Query = Record<string, string | number | boolean | null | undefined>;

interface ProblemDocument {
  detail?: string;
  title?: string;
  next_step?: string | null;
}

interface Asking {
  method?: string;
  headers?: Record<string, string>;
  body?: string;
}

async function problemOf(response: Response): Promise<Problem> {
  const text = await response.text();
  let said = text.slice(0, 200) || response.statusText;
  try {
    const document = JSON.parse(text) as ProblemDocument;
    said = document.detail ?? document.title ?? said;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  return new Problem(response.status, said);
}

/** Ask, and take what is wanted of the answer; a process that ends in the middle of it does not answer either. */
async function answered<Wanted>(
  path: string,
  init: Asking,
  take: (response: Response) => Promise<Wanted>,
): Promise<Wanted> {
  try {
    const authorization: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {};
    const response = await fetch(path, {
      ...init,
      headers: { accept: "application/json", ...authorization, ...init.headers },
    });
    if (!response.ok) throw await problemOf(response);
    return await take(response);
  } catch (error) {
    if (error instanceof TypeError) throw new Problem(0, "the process does not answer");
    throw error;
  }
}

function call<Answer>(path: string, init: Asking = {}): Promise<Answer> {
  return answered(path, init, (response) => response.json() as Promise<Answer>);
}

/** A file, as an address that a picture can be shown from. */
export function file(path: string): Promise<string> {
  const address = async (response: Response): Promise<string> => URL.createObjectURL(await response.blob());
  return answered(`/v1/${path}`, { headers: { accept: "*/*" } }, address);
}

function withQuery(path: string, query: Query): string {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined);
  const text = new URLSearchParams(given.map(([key, value]) => [key, String(value)])).toString();
  return text ? `${path}?${text}` : path;
}

export function get<Answer>(path: string, query: Query = {}): Promise<Answer> {
  return call<Answer>(withQuery(`/v1/${path}`, query));
}

/** Change something: always with the token. */
export function post<Answer>(path: string, body: unknown, given: string): Promise<Answer> {
  const headers = { authorization: `Bearer ${given}`, "content-type": "application/json" };
  return call<Answer>(`/v1/${path}`, { method: "POST", headers, body: JSON.stringify(body) });
}

/** An answer that is good to have: where there is none, what is shown stays as it is. */
export async function quietly<Value>(asked: Promise<Value> | undefined): Promise<Value | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return undefined;
  }
}

/** All rows of a list, page by page; pages come with the newest first, rows within them in order. */
export async function list<Row>(path: string, query: Query): Promise<Row[]> {
  const rows: Row[] = [];
  let cursor: string | null = null;
  do {
    const page: Page<Row> = await get<Page<Row>>(path, { ...query, cursor });
    rows.unshift(...page.items);
    cursor = page.next;
  } while (cursor);
  return rows;
}

interface Span {
  instrument: string;
  start?: string;
  end?: string;
  limit: number;
  cursor?: string | null;
}

export const candles = (span: Span & { timeframe: string }): Promise<Page<CandleRow>> => get("candles", { ...span });
export const features = (span: Span & { timeframe: string; set: string }): Promise<Page<FeatureRow>> =>
  get("features", { ...span });
export const predictions = (span: Span & { timeframe: string }): Promise<Page<PredictionRow>> =>
  get("predictions", { ...span });
export const answers = (span: Span & { timeframe: string }): Promise<Page<AnswerRow>> => get("answers", { ...span });

/** One row an instrument: what is stored of it apart (trades, candles of others) is put together. */
export async function instruments(): Promise<InstrumentRow[]> {
  const byName = new Map<string, InstrumentRow>();
  for (const row of await list<InstrumentRow>("instruments", {})) {
    const known = byName.get(row.instrument);
    const timeframes = [...new Set([...(known?.timeframes ?? []), ...row.timeframes])];
    byName.set(row.instrument, { ...row, ...known, timeframes });
  }
  return [...byName.values()];
}

/** An instant as the API takes it. */
export function rfc3339(at: number): string {
  return new Date(at).toISOString();
}
