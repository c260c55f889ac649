declare module "aws-jwt-verify/https" {
  export class SimpleFetcher {
    fetch(uri: string): Promise<ArrayBuffer>;
  }
}
