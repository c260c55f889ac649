// Before anything else in every process of a child: what would end it is written down instead.
const { appendFileSync } = process.getBuiltinModule("node:fs");
const record = (kind) => (error) => {
  appendFileSync(
    process.env.FAULTS_FILE,
    `${kind}: ${String(error?.stack ?? error)
      .split("\n")
      .slice(0, 3)
      .join(" ")}\n`,
  );
};
process.on("uncaughtException", record("uncaughtException"));
process.on("unhandledRejection", record("unhandledRejection"));
