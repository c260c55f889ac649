/**
 * What is used of the packages that only `bench/` installs: with these, the root's type check and lint need no
 * `npm --prefix bench ci`.
 */

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

declare module "aws-jwt-verify/https" {
  export class SimpleFetcher {
    fetch(uri: string): Promise<ArrayBuffer>;
  }
}
