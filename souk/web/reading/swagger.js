"use strict";
SwaggerUIBundle({ url: "/api/v1/openapi.json", dom_id: "#reader", deepLinking: true, validatorUrl: null });
