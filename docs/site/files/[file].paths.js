import { filePages } from "../pages.ts";

export default {
  paths: () => filePages().map(({ file, text }) => ({ params: { file }, content: text })),
};
