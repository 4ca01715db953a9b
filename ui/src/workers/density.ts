// How many lines cross each pixel. A line counts once per pixel; for each column of pixels only the ends of its stretch are
// noted, and the counts are the running sum over them. Cost: series × (columns + width) + width × height.
import { rowOf, type Drawing } from "./answer";

export interface Frame {
  width: number;
  height: number;
  /** Values at the lower and upper edge. */
  low: number;
  high: number;
}

export interface Density {
  counts: Uint32Array;
  most: number;
}

export function density(drawing: Drawing, { width, height, low, high }: Frame): Density {
  const { head, names, numbers } = drawing;
  const { columns, planes } = head;
  const at = planes.length > 1 ? { first: 0, least: columns, greatest: 2 * columns, last: 3 * columns } : { first: 0, least: 0, greatest: 0, last: 0 };
  const edges = new Int32Array(width * (height + 1));
  const tops = new Int32Array(width);
  const bottoms = new Int32Array(width);
  const scale = (height - 1) / (high - low || 1);
  const stride = columns > 1 ? (width - 1) / (columns - 1) : 0;
  for (let row = 0; row < names.length; row += 1) {
    tops.fill(height);
    bottoms.fill(-1);
    const base = row * rowOf(head);
    let [oldX, oldY] = [NaN, NaN];
    for (let column = 0; column < columns; column += 1) {
      const first = numbers[base + at.first + column] as number;
      if (first !== first) {
        oldX = NaN;
        continue;
      }
      const x = column * stride;
      const y = (high - first) * scale;
      if (oldX === oldX) stretch(tops, bottoms, oldX, oldY, x, y);
      const pixel = Math.round(x);
      const top = Math.round((high - (numbers[base + at.greatest + column] as number)) * scale);
      const bottom = Math.round((high - (numbers[base + at.least + column] as number)) * scale);
      if (top < (tops[pixel] as number)) tops[pixel] = top;
      if (bottom > (bottoms[pixel] as number)) bottoms[pixel] = bottom;
      oldX = x;
      oldY = (high - (numbers[base + at.last + column] as number)) * scale;
    }
    for (let x = 0; x < width; x += 1) {
      const top = Math.max(0, tops[x] as number);
      const bottom = Math.min(height - 1, bottoms[x] as number);
      if (top > bottom) continue;
      edges[x * (height + 1) + top]! += 1;
      edges[x * (height + 1) + bottom + 1]! -= 1;
    }
  }
  return summed(edges, width, height);
}

/** Note the rows that a straight line covers in each column of pixels from one point to another. */
function stretch(tops: Int32Array, bottoms: Int32Array, x0: number, y0: number, x1: number, y1: number): void {
  const slope = (y1 - y0) / (x1 - x0 || 1);
  for (let x = Math.round(x0); x <= Math.round(x1); x += 1) {
    const from = y0 + slope * (Math.max(x0, x - 0.5) - x0);
    const to = y0 + slope * (Math.min(x1, x + 0.5) - x0);
    const top = Math.round(Math.min(from, to));
    const bottom = Math.round(Math.max(from, to));
    if (top < (tops[x] as number)) tops[x] = top;
    if (bottom > (bottoms[x] as number)) bottoms[x] = bottom;
  }
}

function summed(edges: Int32Array, width: number, height: number): Density {
  const counts = new Uint32Array(width * height);
  let most = 0;
  for (let x = 0; x < width; x += 1) {
    let count = 0;
    for (let y = 0; y < height; y += 1) {
      count += edges[x * (height + 1) + y] as number;
      counts[y * width + x] = count;
      if (count > most) most = count;
    }
  }
  return { counts, most };
}

/** Pixels of the counts: none is transparent, and the scale is logarithmic. colours: 256 of them, as R, G, B. */
export function painted({ counts, most }: Density, colours: Uint8Array): Uint8ClampedArray<ArrayBuffer> {
  const pixels = new Uint8ClampedArray(counts.length * 4);
  const scale = most > 1 ? 255 / Math.log(most) : 0;
  for (let at = 0; at < counts.length; at += 1) {
    const count = counts[at] as number;
    if (!count) continue;
    const shade = Math.round(Math.log(count) * scale) * 3;
    pixels[at * 4] = colours[shade] as number;
    pixels[at * 4 + 1] = colours[shade + 1] as number;
    pixels[at * 4 + 2] = colours[shade + 2] as number;
    pixels[at * 4 + 3] = 255;
  }
  return pixels;
}
