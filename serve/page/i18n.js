// Every word of the page, in English and in French, and how numbers are written in each.

/** @typedef {"en" | "fr"} Language */

const KEPT = "tonearm-language";

const EN = {
  "title": "Tonearm: the genre of a song",
  "tagline": "Put a song on. See its genre.",
  "lead": "Two models listen to it, a support vector machine and a VGG19 network, and show you where in the song they hear what.",
  "skip": "Skip to the song",
  "language": "Language",
  "theme": "Dark mode",
  "choose": "Choose files",
  "record": "Record",
  "drop-hint": "or drop them anywhere on this page",
  "drop-here": "Drop to listen",
  "formats": "WAV, AU, FLAC, MP3, OGG, AIFF, M4A",
  "privacy": "The audio goes to this server alone and is not kept. Nothing is shared with anyone.",
  "models": "Who listens",
  "model-both": "Both",
  "model-svm": "SVM",
  "model-vgg19": "VGG19",
  "about-svm": "support vector machine on descriptors of the sound",
  "about-vgg19": "convolutional network that looks at the spectrogram",
  "state-ready": "ready",
  "state-unavailable": "down",
  "state-unknown": "looking…",
  "recording": "Recording",
  "record-stop": "Stop and listen",
  "record-discard": "Discard",
  "record-level": "Input level",
  "record-level-text": "{level} dBFS",
  "record-name": "recording",
  "record-limit": "Stops by itself after {minutes} minutes.",
  "record-denied": "The browser has no permission to use the microphone. Allow it in the address bar, then try again.",
  "record-missing": "No microphone was found.",
  "record-insecure": "The browser lets a page record only over HTTPS or from this machine (localhost).",
  "record-failed": "Recording did not start.",
  "play": "Play",
  "pause": "Pause",
  "player": "Player",
  "unplayable": "Your browser cannot play this format. The models can hear it, and everything below works.",
  "audio-about": "{container} · {rate} kHz · {channels} · {length}",
  "channels-1": "mono",
  "channels-2": "stereo",
  "channels-n": "{n} channels",
  "verdicts": "What they hear",
  "agree": "Both hear {genre}.",
  "disagree": "They disagree: SVM hears {svm}, VGG19 hears {vgg19}.",
  "one-says": "{model} hears {genre}, {percent}.",
  "confidence": "{percent} sure",
  "probability-of": "Probability of each genre, {model}",
  "details": "Model and features",
  "detail-version": "Version",
  "detail-fingerprint": "Fingerprint of its features",
  "detail-digest": "Digest of what it heard",
  "detail-model": "Model",
  "waiting": "Waiting for its turn…",
  "asking": "Listening…",
  "retrying": "The server is busy. Trying again in {seconds} s…",
  "cancelled": "Cancelled",
  "failed": "Failed",
  "ask-again": "Ask again",
  "done": "Done",
  "idle": "Not asked",
  "over-time": "Over the song",
  "now": "{model}: {genre} {percent}",
  "scrub": "Position in the song",
  "scrub-hint": "Click a plot, or use the arrow keys on the bar, to go there.",
  "waveform": "Waveform",
  "waveform-axis": "amplitude",
  "waveform-label": "Waveform of {name}, {length}",
  "log-mel": "Log-mel spectrogram",
  "log-mel-about": "what is loud, by time and pitch",
  "log-mel-label": "Log-mel spectrogram of {name}: frequency on a mel scale from {low} to {high} Hz over {length}",
  "legend-db": "Loudness, dB",
  "time-axis": "time, s",
  "time-axis-minutes": "time, min:s",
  "timeline-svm": "Genre over time, SVM",
  "timeline-vgg19": "Genre over time, VGG19",
  "timeline-about": "top: the likeliest; below: share of each; the mean where passages overlap",
  "timeline-label": "Genres over time as {model} hears them: {bands}",
  "band": "{start} to {end} {genre}",
  "timeline-axis": "share",
  "passages": "The passages in figures",
  "passage": "Passage",
  "genre": "Genre",
  "probability": "Probability",
  "explain": "Show what VGG19 listened to",
  "explain-about": "Grad-CAM: bright where the network found its reasons for a genre.",
  "explain-genre": "Reasons for",
  "explain-predicted": "{genre} (its answer)",
  "explain-opacity": "Opacity",
  "explain-legend": "Weight of a place",
  "explain-label": "What VGG19 listened to for {genre}: strongest around {seconds} and {hz} Hz",
  "explain-nothing": "VGG19 found nothing in this song that speaks for {genre}.",
  "explain-asking": "Asking VGG19 for its reasons…",
  "explain-peak": "Its reasons for {genre} are strongest around {seconds} and {hz} Hz.",
  "low": "low",
  "high": "high",
  "crate": "Your songs",
  "crate-hint": "Choose a song to see all of it.",
  "col-file": "File",
  "col-length": "Length",
  "col-svm": "SVM",
  "col-vgg19": "VGG19",
  "col-state": "State",
  "progress": "{done} of {all} answers",
  "progress-label": "Progress",
  "cancel": "Cancel",
  "csv": "Save as CSV",
  "csv-name": "genres.csv",
  "clear": "Clear the list",
  "retry-all": "Ask again for what is missing",
  "added": "{n} files added.",
  "added-1": "{name} added.",
  "finished": "All songs are done.",
  "problem-title": "{name} could not be heard",
  "problem-details": "What the server said",
  "down-svm": "The SVM's server is down. The page goes on with VGG19, and looks again every few seconds.",
  "down-vgg19": "VGG19's server is down. The page goes on with the SVM, and looks again every few seconds.",
  "down-both": "The servers of both models are down. The page looks again every few seconds.",
  "down-server": "This page's own server does not answer. The page looks again every few seconds.",
  "down-wait": "Its server is down. It will be asked as soon as it is back.",
  "back": "{model} is back.",
  "key-title": "This server asks for a key.",
  "key-label": "Key",
  "key-use": "Use it",
  "key-about": "It is kept in this tab only, and sent to this server only.",
  "footer-api": "The service for programs",
  "footer-formats": "Reads {formats}, at any sample rate.",
  "footer-nothing": "This page loads nothing from anywhere else, sets no cookie and counts nobody.",
  "no-script": "This page needs JavaScript, all of it from this server.",
  "problem-no-audio": "Nothing to hear arrived at the server.",
  "problem-several-files": "Several files arrived where one was expected.",
  "problem-empty-audio": "The file is empty.",
  "problem-broken-body": "The upload broke off. Try it again.",
  "problem-bad-request": "The server did not understand the page. Reload it.",
  "problem-unauthorized": "The server asks for a key.",
  "problem-not-found": "This server does not know that question. Is it of the same version as the page?",
  "problem-slow-body": "The upload was too slow. Try it again on a better connection.",
  "problem-body-too-large": "The file is larger than this server takes.",
  "problem-audio-too-long": "The song is longer than this server takes.",
  "problem-not-audio": "This is not audio that can be read. WAV, AU, FLAC, MP3, OGG, AIFF and M4A are.",
  "problem-unsupported-audio": "The kind of file is known, but not the coding inside it. Convert it to WAV or FLAC.",
  "problem-truncated-audio": "The file ends too early; part of it is missing.",
  "problem-corrupt-audio": "The file is damaged and cannot be decoded.",
  "problem-audio-too-short": "The song is too short to tell a genre. Give a few seconds more.",
  "problem-internal": "The server made a mistake. Its log says which.",
  "problem-backend-unavailable": "The server of this model is down.",
  "problem-backend-timeout": "The server of this model did not answer in time.",
  "problem-busy": "The server stayed busy. Try again in a while.",
  "problem-not-ready": "The model is not loaded yet. Try again in a while.",
  "problem-timed-out": "The answer took too long. Try again, or a shorter song.",
  "problem-unreachable": "The server cannot be reached, or the file can no longer be read.",
  "problem-unknown": "The server refused this file.",
};

/** @type {Record<keyof typeof EN, string>} */
const FR = {
  "title": "Tonearm : le genre d’un morceau",
  "tagline": "Posez un morceau. Voyez son genre.",
  "lead": "Deux modèles l’écoutent, une machine à vecteurs de support et un réseau VGG19, et vous montrent où ils entendent quoi.",
  "skip": "Aller au morceau",
  "language": "Langue",
  "theme": "Mode sombre",
  "choose": "Choisir des fichiers",
  "record": "Enregistrer",
  "drop-hint": "ou déposez-les n’importe où sur cette page",
  "drop-here": "Déposez pour écouter",
  "formats": "WAV, AU, FLAC, MP3, OGG, AIFF, M4A",
  "privacy": "Le son va à ce serveur seul et n’est pas conservé. Rien n’est partagé avec personne.",
  "models": "Qui écoute",
  "model-both": "Les deux",
  "model-svm": "SVM",
  "model-vgg19": "VGG19",
  "about-svm": "machine à vecteurs de support sur des descripteurs du son",
  "about-vgg19": "réseau de convolutions qui regarde le spectrogramme",
  "state-ready": "prêt",
  "state-unavailable": "en panne",
  "state-unknown": "vérification…",
  "recording": "Enregistrement",
  "record-stop": "Arrêter et écouter",
  "record-discard": "Abandonner",
  "record-level": "Niveau d’entrée",
  "record-level-text": "{level} dBFS",
  "record-name": "enregistrement",
  "record-limit": "S’arrête de lui-même au bout de {minutes} minutes.",
  "record-denied": "Le navigateur n’a pas le droit d’utiliser le micro. Autorisez-le dans la barre d’adresse, puis réessayez.",
  "record-missing": "Aucun micro n’a été trouvé.",
  "record-insecure": "Le navigateur ne laisse enregistrer qu’en HTTPS ou depuis cette machine (localhost).",
  "record-failed": "L’enregistrement n’a pas commencé.",
  "play": "Lire",
  "pause": "Pause",
  "player": "Lecteur",
  "unplayable": "Votre navigateur ne sait pas lire ce format. Les modèles l’entendent, et tout ce qui suit fonctionne.",
  "audio-about": "{container} · {rate} kHz · {channels} · {length}",
  "channels-1": "mono",
  "channels-2": "stéréo",
  "channels-n": "{n} canaux",
  "verdicts": "Ce qu’ils entendent",
  "agree": "Les deux entendent : {genre}.",
  "disagree": "Ils ne sont pas d’accord : SVM entend {svm}, VGG19 entend {vgg19}.",
  "one-says": "{model} entend {genre}, {percent}.",
  "confidence": "sûr à {percent}",
  "probability-of": "Probabilité de chaque genre, {model}",
  "details": "Modèle et descripteurs",
  "detail-version": "Version",
  "detail-fingerprint": "Empreinte de ses descripteurs",
  "detail-digest": "Condensé de ce qu’il a entendu",
  "detail-model": "Modèle",
  "waiting": "Attend son tour…",
  "asking": "Écoute…",
  "retrying": "Le serveur est occupé. Nouvel essai dans {seconds} s…",
  "cancelled": "Annulé",
  "failed": "Échec",
  "ask-again": "Redemander",
  "done": "Terminé",
  "idle": "Non demandé",
  "over-time": "Au fil du morceau",
  "now": "{model} : {genre} {percent}",
  "scrub": "Position dans le morceau",
  "scrub-hint": "Cliquez sur un graphique, ou utilisez les flèches sur la barre, pour y aller.",
  "waveform": "Forme d’onde",
  "waveform-axis": "amplitude",
  "waveform-label": "Forme d’onde de {name}, {length}",
  "log-mel": "Spectrogramme log-mel",
  "log-mel-about": "ce qui est fort, selon le temps et la hauteur",
  "log-mel-label": "Spectrogramme log-mel de {name} : fréquence sur une échelle mel de {low} à {high} Hz pendant {length}",
  "legend-db": "Intensité, dB",
  "time-axis": "temps, s",
  "time-axis-minutes": "temps, min:s",
  "timeline-svm": "Genre au fil du temps, SVM",
  "timeline-vgg19": "Genre au fil du temps, VGG19",
  "timeline-about": "en haut : le plus probable ; dessous : la part de chacun ; la moyenne là où des passages se recouvrent",
  "timeline-label": "Genres au fil du temps selon {model} : {bands}",
  "band": "de {start} à {end} {genre}",
  "timeline-axis": "part",
  "passages": "Les passages en chiffres",
  "passage": "Passage",
  "genre": "Genre",
  "probability": "Probabilité",
  "explain": "Montrer ce que VGG19 a écouté",
  "explain-about": "Grad-CAM : clair là où le réseau a trouvé ses raisons pour un genre.",
  "explain-genre": "Raisons pour",
  "explain-predicted": "{genre} (sa réponse)",
  "explain-opacity": "Opacité",
  "explain-legend": "Poids d’un endroit",
  "explain-label": "Ce que VGG19 a écouté pour {genre} : surtout vers {seconds} et {hz} Hz",
  "explain-nothing": "VGG19 n’a rien trouvé dans ce morceau qui parle pour {genre}.",
  "explain-asking": "VGG19 cherche ses raisons…",
  "explain-peak": "Ses raisons pour {genre} sont les plus fortes vers {seconds} et {hz} Hz.",
  "low": "faible",
  "high": "fort",
  "crate": "Vos morceaux",
  "crate-hint": "Choisissez un morceau pour tout en voir.",
  "col-file": "Fichier",
  "col-length": "Durée",
  "col-svm": "SVM",
  "col-vgg19": "VGG19",
  "col-state": "État",
  "progress": "{done} réponses sur {all}",
  "progress-label": "Avancement",
  "cancel": "Annuler",
  "csv": "Enregistrer en CSV",
  "csv-name": "genres.csv",
  "clear": "Vider la liste",
  "retry-all": "Redemander ce qui manque",
  "added": "{n} fichiers ajoutés.",
  "added-1": "{name} ajouté.",
  "finished": "Tous les morceaux sont terminés.",
  "problem-title": "{name} n’a pas pu être entendu",
  "problem-details": "Ce qu’a dit le serveur",
  "down-svm": "Le serveur du SVM est en panne. La page continue avec VGG19, et vérifie toutes les quelques secondes.",
  "down-vgg19": "Le serveur de VGG19 est en panne. La page continue avec le SVM, et vérifie toutes les quelques secondes.",
  "down-both": "Les serveurs des deux modèles sont en panne. La page vérifie toutes les quelques secondes.",
  "down-server": "Le serveur de cette page ne répond pas. La page vérifie toutes les quelques secondes.",
  "down-wait": "Son serveur est en panne. Il sera interrogé dès son retour.",
  "back": "{model} est de retour.",
  "key-title": "Ce serveur demande une clé.",
  "key-label": "Clé",
  "key-use": "L’utiliser",
  "key-about": "Elle n’est gardée que dans cet onglet, et envoyée qu’à ce serveur.",
  "footer-api": "Le service pour les programmes",
  "footer-formats": "Lit {formats}, à toute fréquence d’échantillonnage.",
  "footer-nothing": "Cette page ne charge rien d’ailleurs, ne dépose aucun cookie et ne compte personne.",
  "no-script": "Cette page a besoin de JavaScript, qui vient entièrement de ce serveur.",
  "problem-no-audio": "Rien à entendre n’est arrivé au serveur.",
  "problem-several-files": "Plusieurs fichiers sont arrivés là où un seul était attendu.",
  "problem-empty-audio": "Le fichier est vide.",
  "problem-broken-body": "L’envoi s’est interrompu. Réessayez.",
  "problem-bad-request": "Le serveur n’a pas compris la page. Rechargez-la.",
  "problem-unauthorized": "Le serveur demande une clé.",
  "problem-not-found": "Ce serveur ne connaît pas cette question. Est-il de la même version que la page ?",
  "problem-slow-body": "L’envoi était trop lent. Réessayez avec une meilleure connexion.",
  "problem-body-too-large": "Le fichier est plus gros que ce que ce serveur accepte.",
  "problem-audio-too-long": "Le morceau est plus long que ce que ce serveur accepte.",
  "problem-not-audio": "Ce n’est pas du son que l’on sache lire. WAV, AU, FLAC, MP3, OGG, AIFF et M4A le sont.",
  "problem-unsupported-audio": "Le type de fichier est connu, mais pas son codage. Convertissez-le en WAV ou en FLAC.",
  "problem-truncated-audio": "Le fichier s’arrête trop tôt ; il en manque une partie.",
  "problem-corrupt-audio": "Le fichier est abîmé et ne peut pas être décodé.",
  "problem-audio-too-short": "Le morceau est trop court pour en dire le genre. Donnez quelques secondes de plus.",
  "problem-internal": "Le serveur a commis une erreur. Son journal dit laquelle.",
  "problem-backend-unavailable": "Le serveur de ce modèle est en panne.",
  "problem-backend-timeout": "Le serveur de ce modèle n’a pas répondu à temps.",
  "problem-busy": "Le serveur est resté occupé. Réessayez dans un moment.",
  "problem-not-ready": "Le modèle n’est pas encore chargé. Réessayez dans un moment.",
  "problem-timed-out": "La réponse a pris trop de temps. Réessayez, ou avec un morceau plus court.",
  "problem-unreachable": "Le serveur est injoignable, ou le fichier ne peut plus être lu.",
  "problem-unknown": "Le serveur a refusé ce fichier.",
};

const STRINGS = { en: EN, fr: FR };

/** Genres that have another name in a language, or another spelling than the label's. */
const GENRES = {
  en: { hiphop: "hip-hop" },
  fr: { classical: "classique", hiphop: "hip-hop" },
};

/** Fires `change` when the language does. */
export const languages = new EventTarget();

/** @returns {Language} the one that was chosen here before, else the browser's, else English. */
function preferred() {
  const kept = read();
  const wanted = [kept, ...navigator.languages].map((tag) => tag?.slice(0, 2).toLowerCase());
  return /** @type {Language} */ (wanted.find((tag) => tag === "en" || tag === "fr") ?? "en");
}

function read() {
  try {
    return localStorage.getItem(KEPT);
  } catch {
    return null; // storage may be forbidden; the page works without
  }
}

/** @type {Language} */
let language = preferred();

/** @returns {Language} */
export const current = () => language;

/** @param {Language} wanted */
export function use(wanted) {
  language = wanted;
  try {
    localStorage.setItem(KEPT, wanted);
  } catch {
    // not remembered, then
  }
  languages.dispatchEvent(new Event("change"));
}

/**
 * The sentence of that key, with `{name}` replaced.
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 */
export function t(key, values = {}) {
  const text = STRINGS[language][key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}

/** Whether there is a sentence of that key. */
export const has = (key) => key in EN;

/** A genre for people; a label that is not known is shown as it is. */
export const genre = (label) => GENRES[language][label] ?? label;

/** @param {number} share 0 to 1 */
export const percent = (share) =>
  new Intl.NumberFormat(language, { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 }).format(share);

/** A number with at most that many decimals. */
export const number = (value, decimals = 0) =>
  new Intl.NumberFormat(language, { maximumFractionDigits: decimals }).format(value);

/** Seconds as `m:ss`. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** Seconds with their unit, such as “12.5 s” or “12,5 s”, which stay on one line. */
export const seconds = (value, decimals = 1) => `${number(value, decimals)}\u00a0s`;

/** Puts the words in place: `data-text` is a text, `data-label` an `aria-label`. */
export function translate(root = document) {
  document.documentElement.lang = language;
  document.title = t("title");
  for (const element of root.querySelectorAll("[data-text]")) {
    element.textContent = t(element.dataset.text, { formats: t("formats") });
  }
  for (const element of root.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", t(element.dataset.label));
  }
}
