// jsdom as people use it for servers in Jest: with what Node has and jest-environment-jsdom takes away.
import { TestEnvironment } from "jest-environment-jsdom";

const OF_NODE = ["TextEncoder", "TextDecoder", "Uint8Array", "fetch", "Request", "Response", "Headers", "crypto"];

export default class extends TestEnvironment {
  constructor(...args) {
    super(...args);
    for (const name of OF_NODE) {
      Object.defineProperty(this.global, name, { configurable: true, writable: true, value: globalThis[name] });
    }
  }
}
