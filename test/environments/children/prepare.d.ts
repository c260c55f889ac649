export const POLLUTED_NAMES: string[];
