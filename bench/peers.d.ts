/**
 * What is used of the packages that only `bench/` installs: with these, the root's type check and lint need no
 * `npm --prefix bench ci`.
 */

declare module "autocannon" {
  interface Client {
    setRequests(requests: { headers: Record<string, string> }[]): void;
  }
  interface Options {
    url: string;
    connections: number;
    /** Requests in all, shared out evenly among the connections; instead of `duration`. */
    amount?: number;
    /** Seconds. */
    duration?: number;
    /** ms between two looks at whether the run is over. */
    sampleInt: number;
    setupClient(client: Client): void;
    verifyBody(body: string): boolean;
  }
  interface Result {
    "2xx": number;
    non2xx: number;
    errors: number;
    timeouts: number;
    mismatches: number;
  }
  interface Instance extends PromiseLike<Result> {
    on(
      event: "response",
      listener: (client: Client, statusCode: number, bytes: number, milliseconds: number) => void,
    ): this;
  }
  export default function autocannon(options: Options): Instance;
}

declare module "aws-jwt-verify" {
  export const JwtVerifier: {
    create(
      properties: { issuer: string; audience: string; jwksUri: string },
      additional: { jwksCache: import("aws-jwt-verify/jwk").SimpleJwksCache },
    ): { verify(token: string): Promise<Record<string, unknown>> };
  };
}

declare module "aws-jwt-verify/jwk" {
  export class SimpleJwksCache {
    constructor(properties: { fetcher: { fetch(uri: string): Promise<ArrayBuffer> } });
    getJwks(uri: string): Promise<object>;
  }
}

declare module "express-jwt" {
  export function expressjwt(options: {
    secret: unknown;
    algorithms: string[];
    issuer: string;
    audience: string;
  }): import("express").RequestHandler;
}

declare module "express-oauth2-jwt-bearer" {
  export function auth(options: {
    issuer: string;
    audience: string;
    jwksUri: string;
    tokenSigningAlg: string;
  }): import("express").RequestHandler;
}

declare module "fast-jwt" {
  export function createVerifier(options: {
    key(decoded: { header: { kid: string; alg: string } }): Promise<string>;
    algorithms: string[];
    allowedIss: string;
    allowedAud: string;
    cache: boolean;
  }): (token: string) => Promise<Record<string, unknown>>;
}

declare module "get-jwks" {
  export default function buildGetJwks(options: { issuersWhitelist: string[]; jwksPath: string }): {
    getPublicKey(signature: { domain: string; kid: string; alg: string }): Promise<string>;
  };
}

declare module "jwks-rsa" {
  const jwksRsa: {
    expressJwtSecret(options: {
      jwksUri: string;
      cache: boolean;
      rateLimit: boolean;
      jwksRequestsPerMinute: number;
    }): unknown;
  };
  export default jwksRsa;
}
