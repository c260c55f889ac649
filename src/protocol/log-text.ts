/** Somebody else's text made fit for a log: at most 256 characters, none of them a control character. */
export function logText(text: string): string {
  return text.slice(0, 256).replace(/\p{C}/gu, "");
}
