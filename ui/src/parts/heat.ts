// The scale of densities and heatmaps: one hue family, light steadily to dark, so that it is read without colours too.
import { colour } from "../theme";

const STOPS = ["heat-1", "heat-2", "heat-3", "heat-4", "heat-5"];

function channels(text: string): [number, number, number] {
  const value = Number.parseInt(text.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

/** 256 colours of the theme in force, each as R, G, B. */
export function heatColours(): Uint8Array {
  const stops = STOPS.map((name) => channels(colour(name)));
  const found = new Uint8Array(256 * 3);
  for (let shade = 0; shade < 256; shade += 1) {
    const place = (shade / 255) * (stops.length - 1);
    const at = Math.min(Math.floor(place), stops.length - 2);
    for (let channel = 0; channel < 3; channel += 1) {
      const [from = 0, to = 0] = [stops[at]?.[channel], stops[at + 1]?.[channel]];
      found[shade * 3 + channel] = Math.round(from + (to - from) * (place - at));
    }
  }
  return found;
}
