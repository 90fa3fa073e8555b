// Breached when too large a share of the last runs was slow. Pure: same history, same verdict.

/** JSON Schema of the settings: forms, faults and documentation follow from it. */
export const settingsSchema = {
  type: "object",
  additionalProperties: false,
  required: ["slowMs"],
  properties: {
    slowMs: { type: "integer", minimum: 1, description: "A run that takes longer is slow, in milliseconds." },
    share: { type: "number", minimum: 0, maximum: 100, default: 20, description: "Largest share of slow runs, in percent." },
    runs: { type: "integer", minimum: 1, maximum: 1000, default: 20, description: "How many of the last runs to look at." },
    window: { type: "integer", minimum: 1, maximum: 86400, default: 3600, description: "How old a run may be, in seconds." },
  },
};

const defaults = { share: 20, runs: 20, window: 3600 };

/** How much history the rule needs. */
export const lookBackMs = (settings) => ({ ...defaults, ...settings }).window * 1000;

/** `history` is the host's. A third argument is the context: `nowMs` is the moment of the evaluation. */
export function evaluate(settings, history) {
  const { slowMs, share, runs } = { ...defaults, ...settings };
  const measured = history.samples(runs, null).filter(({ latencyUs }) => latencyUs !== null);
  if (measured.length === 0) return { tag: "no-opinion", val: "no run was measured yet" };
  const slow = measured.filter(({ latencyUs }) => latencyUs > slowMs * 1000).length;
  const found = (100 * slow) / measured.length;
  return {
    tag: found > share ? "breached" : "ok",
    val: {
      summary: `${slow} of the last ${measured.length} runs took longer than ${slowMs} ms, which is ${found.toFixed(1)} %, wanted at most ${share} %`,
      value: found,
      wanted: share,
      details: [{ key: "slow_runs", value: { tag: "integer", val: slow } }],
      attributes: [],
    },
  };
}
