"use strict";
// Redoc has one look, for bright rooms; this is the other, in the colours of the problem pages.
const dark = {
  colors: {
    primary: { main: "#e0a465" },
    text: { primary: "#ece7de", secondary: "#a79f91" },
    border: { dark: "#4a453d", light: "#3d3932" },
  },
  schema: { nestedBackground: "#26231f", linesColor: "#4a453d", typeNameColor: "#a79f91", typeTitleColor: "#a79f91" },
  typography: { code: { color: "#e0a465", backgroundColor: "#292622" } },
  rightPanel: { backgroundColor: "#23201c" },
  sidebar: { backgroundColor: "#23201c", textColor: "#ece7de" },
};
const theme = matchMedia("(prefers-color-scheme: dark)").matches ? dark : {};
Redoc.init("/api/v1/openapi.json", { sortTagsAlphabetically: false, theme }, document.getElementById("reader"));
