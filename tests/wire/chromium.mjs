// The browser of the programs in this folder.
import { chromium } from "playwright-core";

/** Starts Chromium: the one that CHROMIUM names, or that of the system. */
export const launchChromium = () =>
  chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
  });
