import { expect, test } from "vitest";
import { referencePages } from "../scripts/reference.js";

test.each(Object.entries(referencePages()))("docs/%s says what the source says", async (name, page) => {
  await expect(page).toMatchFileSnapshot(`../docs/${name}`);
});
