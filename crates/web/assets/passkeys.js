// Passkeys: the two browser calls that cannot be made without script. A form
//   <form hidden data-passkey="create|get" data-options="{...}" data-failed="text" method="post">
//     <input type="hidden" name="answer"> <p role="alert" hidden></p> <button>...</button>
// is shown when the browser can do it, and sends the answer as JSON in base64url.
// Without script the form stays hidden and the page offers its other ways.
(() => {
  "use strict";
  const bytes = (text) =>
    Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));
  const text = (buffer) => {
    const letters = Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join("");
    return btoa(letters).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  };
  const ids = (list) => (list || []).map((known) => ({ ...known, id: bytes(known.id) }));

  const ask = async (kind, options) => {
    options.challenge = bytes(options.challenge);
    if (kind === "create") {
      options.user.id = bytes(options.user.id);
      options.excludeCredentials = ids(options.excludeCredentials);
      return navigator.credentials.create({ publicKey: options });
    }
    options.allowCredentials = ids(options.allowCredentials);
    return navigator.credentials.get({ publicKey: options });
  };

  const written = (credential) => {
    const from = credential.response;
    const response = { clientDataJSON: text(from.clientDataJSON) };
    for (const name of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
      if (from[name]) response[name] = text(from[name]);
    }
    if (from.attestationObject) {
      delete response.authenticatorData;
      response.transports = from.getTransports ? from.getTransports() : [];
    }
    const answer = { id: credential.id, rawId: text(credential.rawId), type: credential.type, response };
    return text(new TextEncoder().encode(JSON.stringify(answer)));
  };

  for (const form of document.querySelectorAll("form[data-passkey]")) {
    if (!window.PublicKeyCredential) continue;
    form.hidden = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const alert = form.querySelector("[role=alert]");
      try {
        alert.hidden = true;
        const credential = await ask(form.dataset.passkey, JSON.parse(form.dataset.options));
        form.elements.answer.value = written(credential);
        form.submit();
      } catch (error) {
        alert.textContent = `${form.dataset.failed} (${error.name})`;
        alert.hidden = false;
      }
    });
  }
})();
