"use strict";
Redoc.init("/api/v1/openapi.json", { hideDownloadButton: false, sortTagsAlphabetically: false }, document.getElementById("reader"));
