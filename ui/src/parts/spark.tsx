// A small line without axes: the way a number has come.

const WIDTH = 200;
const HEIGHT = 40;
const TOP = 4;

export function Spark({ points, label }: { points: [number, number][]; label: string }) {
  const drawn = points.filter(([, value]) => Number.isFinite(value));
  const first = drawn[0]?.[0] ?? 0;
  const last = drawn.at(-1)?.[0] ?? 1;
  const highest = Math.max(...drawn.map(([, value]) => value), 0) || 1;
  const line = drawn
    .map(([time, value], index) => {
      const x = ((time - first) / (last - first || 1)) * WIDTH;
      const y = HEIGHT - (Math.max(0, value) / highest) * (HEIGHT - TOP);
      return `${index ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    })
    .join("");
  return (
    <svg class="spark" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={label}>
      {drawn.length > 1 && <path class="area" d={`${line}L${WIDTH} ${HEIGHT}L0 ${HEIGHT}Z`} />}
      {drawn.length > 1 && <path d={line} />}
    </svg>
  );
}
