// Scales of a figure's axes: from values to positions, with ticks at round numbers.

/** A linear scale over values: {position, ticks}. */
export function linearScale(values, start, end, { zero = false } = {}) {
  let [low, high] = [Math.min(...values, ...(zero ? [0] : [])), Math.max(...values, ...(zero ? [0] : []))];
  if (low === high) [low, high] = low === 0 ? [-1, 1] : [low - Math.abs(low) / 10, high + Math.abs(high) / 10];
  const margin = (high - low) * 0.05;
  if (!(zero && low === 0)) low -= margin;
  if (!(zero && high === 0)) high += margin;
  const step = roundStep((high - low) / Math.max(2, Math.abs(end - start) / 80));
  const ticks = [];
  for (let n = Math.ceil(low / step); n * step <= high; n++) ticks.push(Number((n * step).toPrecision(12)));
  const position = (value) => start + ((value - low) / (high - low)) * (end - start);
  return { position, ticks };
}

/** A logarithmic scale over positive values; ticks at 1, 2 and 5 times powers of ten. */
export function logScale(values, start, end) {
  let [low, high] = [Math.log10(Math.min(...values)), Math.log10(Math.max(...values))];
  const margin = Math.max((high - low) * 0.05, 0.02);
  [low, high] = [low - margin, high + margin];
  const position = (value) => start + ((Math.log10(value) - low) / (high - low)) * (end - start);
  const most = Math.max(3, Math.abs(end - start) / 45);
  const candidates = [[1], [1, 2, 5], [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9]].map((steps) =>
    logTicks(low, high, steps),
  );
  let ticks = candidates.filter((found) => found.length <= most).at(-1) ?? candidates[0];
  if (ticks.length > most) {
    const every = Math.ceil(ticks.length / most);
    ticks = ticks.filter((_, i) => i % every === 0);
  }
  if (ticks.length < 2) {
    // Less than one decade: round numbers of a linear scale, where they are positive.
    const linear = linearScale([10 ** low, 10 ** high], start, end).ticks;
    ticks = linear.filter((tick) => tick > 0 && Math.log10(tick) >= low && Math.log10(tick) <= high);
  }
  return { position, ticks };
}

function logTicks(low, high, steps) {
  const ticks = [];
  for (let power = Math.floor(low); power <= Math.ceil(high); power++) {
    for (const step of steps) {
      const tick = Number((step * 10 ** power).toPrecision(6));
      if (Math.log10(tick) >= low && Math.log10(tick) <= high) ticks.push(tick);
    }
  }
  return ticks;
}

function roundStep(size) {
  const power = 10 ** Math.floor(Math.log10(size));
  const wanted = size / power;
  return (wanted <= 1 ? 1 : wanted <= 2 ? 2 : wanted <= 5 ? 5 : 10) * power;
}
