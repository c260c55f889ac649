/**
 * For classes that add a private field to an object that is already there: JSON, `inspect` and comparisons see nothing
 * of it, and no code outside of the class can set it.
 */
// eslint-disable-next-line @typescript-eslint/no-extraneous-class -- classes that extend it add to the object
export class PrivateField {
  constructor(object: object) {
    return object;
  }
}
