/** What was chosen on this machine the last time. */

export function remembered(key: string): string | null {
  return localStorage.getItem(`tapeline.${key}`);
}

export function remember(key: string, value: string): void {
  localStorage.setItem(`tapeline.${key}`, value);
}
