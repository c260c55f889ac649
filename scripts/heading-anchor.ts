/** The anchor that GitHub gives a heading. The site gives it the same one, so that a link to it works in both. */
export function headingAnchor(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\w -]/g, "")
    .replaceAll(" ", "-");
}
