/** What models of other targets said: the newest, since when it is so, and stretches of one regime. Pure. */

import type { Answer } from "./wire";

export interface Stretch {
  from: number;
  to: number;
  label: string;
}

/** The answers to one target, of the horizon that was answered last, in order of time. */
export function answersTo(answers: readonly Answer[], target: string): Answer[] {
  const mine = answers.filter((one) => one.target === target);
  const horizon = mine.at(-1)?.horizon;
  return mine.filter((one) => one.horizon === horizon);
}

/** The candles in a row that have one likeliest class: each answer stands for the candle that ends with it. */
export function stretchesOf(answers: readonly Answer[], step: number): Stretch[] {
  const made: Stretch[] = [];
  for (const { label, asOf } of answers) {
    if (label === null) continue;
    const last = made.at(-1);
    if (last?.label === label && last.to === asOf - step) last.to = asOf;
    else made.push({ from: asOf - step, to: asOf, label });
  }
  return made;
}

/** Since when the newest answer's class is the likeliest; `known`: whether another was before it without a break. */
export function sinceOf(answers: readonly Answer[], step: number): { at: number; known: boolean } | null {
  const stretches = stretchesOf(answers, step);
  const last = stretches.at(-1);
  return last ? { at: last.from + step, known: stretches.at(-2)?.to === last.from } : null;
}

/** When rows were odder than the threshold: the closes of their candles. */
export function oddOnes(answers: readonly Answer[], threshold: number | null): number[] {
  if (threshold === null) return [];
  return answersTo(answers, "anomaly").flatMap((one) => ((one.value ?? 0) > threshold ? [one.asOf] : []));
}
