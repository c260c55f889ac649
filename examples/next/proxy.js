import { NextResponse } from "next/server";
import { admins } from "./agents.js";

export const proxy = admins.protect(() => NextResponse.next());
export const config = { matcher: "/admin/:path*" };
