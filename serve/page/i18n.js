// The texts of the page, in English and in French, and the number formats of each.

/** @typedef {"en" | "fr"} Language */

const STORAGE_KEY = "tonearm-language";

const EN = {
  "title": "Tonearm: music genre classification",
  "title@label": "Tonearm: audio classification",
  "tagline": "Classify music by genre.",
  "tagline@label": "Classify audio.",
  "lead": "Two models, a support vector machine and a VGG19 network, predict the genre of a track and how it changes over time.",
  "lead-1": "One model predicts the genre of a track and how it changes over time.",
  "lead-n": "{n} models predict the genre of a track and how it changes over time.",
  "lead@label": "Two models, a support vector machine and a VGG19 network, predict the label of a track and how it changes over time.",
  "lead-1@label": "One model predicts the label of a track and how it changes over time.",
  "lead-n@label": "{n} models predict the label of a track and how it changes over time.",
  "skip": "Skip to the track",
  "language": "Language",
  "theme": "Dark mode",
  "choose": "Choose files",
  "record": "Record",
  "examples": "or try an example:",
  "example-beat": "Dance beat",
  "example-strings": "Slow strings",
  "example-guitar": "Distorted guitar",
  "example-name": "Example, {name}.wav",
  "examples-about": "The examples are synthetic sounds that this page makes. They show how it works, not how good the models are.",
  "example-note": "This is a synthetic example that the page made, not music. What is predicted of it says nothing about the accuracy of the models.",
  "drop-hint": "or drop them anywhere on this page",
  "drop-here": "Drop to classify",
  "formats": "WAV, AIFF, AU, CAF, FLAC, MP3, AAC, M4A, MP4, OGG, Opus, WebM, Matroska",
  "limits": "up to {size} and {length} each",
  "privacy": "Audio is sent only to this server and is not stored. Results stay in this tab. Nothing is shared with anyone.",
  "models": "Models",
  "models-none": "At least one model stays selected.",
  "model-both": "Both",
  "model-svm": "SVM",
  "model-vgg19": "VGG19",
  "model-ensemble": "Ensemble",
  "about-svm": "support vector machine on audio descriptors",
  "about-vgg19": "convolutional network on the log-mel spectrogram",
  "about-ensemble": "several models as one, each by its weight",
  "about-models": "About the models",
  "accuracy-unknown": "accuracy not known",
  "state-ready": "ready",
  "state-unavailable": "down",
  "state-unknown": "connecting…",
  "recording": "Recording",
  "record-stop": "Stop and classify",
  "record-discard": "Discard",
  "record-level": "Input level",
  "record-level-text": "{level} dBFS",
  "record-name": "recording",
  "record-limit": "Stops automatically after {minutes} minutes.",
  "record-denied": "The browser has no permission to use the microphone. Allow it in the address bar, then try again.",
  "record-missing": "No microphone was found.",
  "record-insecure": "The browser lets a page record only over HTTPS or from this machine (localhost).",
  "record-failed": "Recording did not start.",
  "play": "Play",
  "pause": "Pause",
  "player": "Player",
  "unplayable": "Your browser cannot play this format. The models can read it, and everything below works.",
  "audio-about": "{container} · {rate} kHz · {channels} · {length}",
  "channels-1": "mono",
  "channels-2": "stereo",
  "channels-n": "{n} channels",
  "warning-truncated": "The file ends too early; what is there was used",
  "warning-damaged": "A part of the audio is damaged and was left out",
  "warning-wrong_size": "A size in the file is wrong; the audio that is there was used",
  "warning-trailing_data": "Other data after the audio was ignored",
  "warning-leading_data": "Other data before the audio was ignored",
  "warning-wrong_header": "The file’s header contradicts its audio, which was believed",
  "warning-format_change": "The sample rate or the number of channels changes; what follows was converted",
  "warning-antiphase": "The channels cancel each other out; the loudest one was used",
  "warning-other": "Something is wrong with the file; the audio that is there was used",
  "warning-at": "{warning} (at {at})",
  "warning-lost": "{warning} ({lost} missing)",
  "warning-at-lost": "{warning} (at {at}, {lost} missing)",
  "predictions": "Predictions",
  "agree": "Both models predict {genre}.",
  "agree-all": "All {n} models predict {genre}.",
  "disagree": "The models disagree: {predictions}.",
  "predicts": "{model} predicts {genre}",
  "one-predicts": "{model} predicts {genre}, {percent}.",
  "novel": "This does not resemble the music that the model was trained on.",
  "novel@label": "This does not resemble the audio that the model was trained on.",
  "novel-all": "This does not resemble what the models were trained on.",
  "novel-some": "This does not resemble what was used to train {models}.",
  "signal-constant": "It sounds like a constant hum or tone.",
  "signal-tonal": "It sounds like plain tones.",
  "signal-noise-like": "It sounds like noise.",
  "signal-speech-like": "It sounds like speech.",
  "likely": "Most likely {genres}",
  "likely-many": "It may be any of {n} genres",
  "likely-many@label": "It may have any of {n} labels",
  "probability-of": "Probability of each genre, {model}",
  "probability-of@label": "Probability of each label, {model}",
  "labels-n": "{n} labels",
  "labels-more": "and {n} more",
  "labels-fewer": "show the first {n} only",
  "labels-other": "{n} other labels",
  "labels-search": "Find a label",
  "labels-found": "{n} of {all} labels",
  "labels-none": "No label contains “{query}”.",
  "legend-of": "Labels in the plot, {model}",
  "trained": "trained on {clips}",
  "joins": "joins {members}",
  "origin-embedded": "part of the program",
  "origin-fallback": "came with the program",
  "trained-described": "trained on {clips} ({description})",
  "clips-1": "1 clip",
  "clips-n": "{n} clips",
  "synthetic-clips-1": "1 clip of synthetic audio",
  "synthetic-clips-n": "{n} clips of synthetic audio",
  "evaluated": "accuracy {accuracy} on {split}",
  "evaluated-interval": "accuracy {accuracy} ({low} to {high}) on {split}",
  "synthetic-1": "{models} was trained on synthetic audio. What it predicts of real music means nothing.",
  "synthetic-n": "{models} were trained on synthetic audio. What they predict of real music means nothing.",
  "details": "Model and features",
  "detail-version": "Version",
  "detail-fingerprint": "Feature fingerprint",
  "detail-digest": "Feature digest",
  "detail-model": "Model",
  "waiting": "Queued…",
  "uploading": "Uploading… {percent}",
  "running": "Analysing…",
  "retrying": "The server is busy. Retrying in {seconds} s…",
  "cancelled": "Cancelled",
  "failed": "Failed",
  "retry": "Retry",
  "done": "Done",
  "idle": "Not requested",
  "over-time": "Over time",
  "now": "{model}: {genre} {percent}",
  "scrub": "Position in the track",
  "scrub-hint": "Click a plot, or use the arrow keys on the slider, to seek.",
  "waveform": "Waveform",
  "waveform-axis": "amplitude",
  "waveform-label": "Waveform of {name}, {length}",
  "log-mel": "Log-mel spectrogram",
  "log-mel-about": "level by time and frequency",
  "log-mel-label": "Log-mel spectrogram of {name}: frequency on a mel scale from {low} to {high} Hz over {length}",
  "legend-db": "Level, dB",
  "time-axis": "time, s",
  "time-axis-minutes": "time, min:s",
  "timeline-of": "Genre over time, {model}",
  "timeline-about": "top: most probable genre; below: probability of each genre, averaged where segments overlap",
  "timeline-label": "Genre over time predicted by {model}: {bands}",
  "timeline-of@label": "Label over time, {model}",
  "timeline-about@label": "top: most probable label; below: probability of each label, averaged where segments overlap",
  "timeline-label@label": "Label over time predicted by {model}: {bands}",
  "band": "{start} to {end} {genre}",
  "timeline-axis": "probability",
  "segments": "Segments as a table",
  "segment": "Segment",
  "genre": "Genre",
  "genre@label": "Label",
  "probability": "Probability",
  "explain": "Show the Grad-CAM heat map",
  "explain-about": "Bright regions are {model}'s strongest evidence for the genre.",
  "explain-about@label": "Bright regions are {model}'s strongest evidence for the label.",
  "explain-genre": "Explain genre",
  "explain-genre@label": "Explain label",
  "explain-model": "Explain model",
  "explain-predicted": "{genre} (predicted)",
  "explain-opacity": "Opacity",
  "explain-legend": "Importance",
  "explain-label": "Grad-CAM heat map for {genre}: strongest near {seconds} and {hz} Hz",
  "explain-nothing": "{model} found no evidence for {genre} in this track.",
  "explain-running": "Computing the heat map…",
  "explain-peak": "The evidence for {genre} is strongest near {seconds} and {hz} Hz.",
  "explain-nothing@label": "{model} found no evidence for {genre} in this track.",
  "explain-peak@label": "The evidence for {genre} is strongest near {seconds} and {hz} Hz.",
  "low": "low",
  "high": "high",
  "tracks": "Tracks",
  "tracks-hint": "Select a track to see its predictions over time.",
  "counts": "Tracks by genre, {model}",
  "counts@label": "Tracks by label, {model}",
  "count-of": "{label}: {n}",
  "not-predicted": "no prediction",
  "find": "Find a track",
  "shown": "{n} of {all} tracks shown",
  "show-all": "Show all",
  "sort-by": "Sort by",
  "sort-added": "order added",
  "sort-falling": "Descending",
  "col-file": "File",
  "col-length": "Length",
  "col-state": "State",
  "progress": "{done} of {all} predictions",
  "ended": "{done} of {all} tracks are done.",
  "n-failed": "{n} failed",
  "n-cancelled": "{n} cancelled",
  "n-down": "{n} waiting for a server",
  "progress-label": "Progress",
  "cancel": "Cancel",
  "csv": "Save as CSV",
  "csv-shown": "Save {n} as CSV",
  "csv-name": "genres.csv",
  "csv-name@label": "labels.csv",
  "clear": "Clear the list",
  "retry-all": "Retry failed",
  "added": "{n} files added.",
  "added-1": "{name} added.",
  "finished": "All tracks are done.",
  "problem-title": "{name} could not be analysed",
  "problem-not-kept": "The page was reloaded, and the audio was not kept. Choose the file again.",
  "lost-segments": "The predictions over time took too much space to be kept when the page was reloaded.",
  "lost-all": "The results took too much space to be kept when the page was reloaded.",
  "problem-details": "Server message",
  "down-svm": "The SVM's server is down. The page continues with VGG19 and checks again every few seconds.",
  "down-vgg19": "VGG19's server is down. The page continues with the SVM and checks again every few seconds.",
  "down-both": "The servers of both models are down. The page checks again every few seconds.",
  "down-some": "Down: {models}. The page continues with the other models and checks again every few seconds.",
  "down-all": "Down: {models}. The page checks again every few seconds.",
  "down-server": "This page's server does not respond. The page checks again every few seconds.",
  "down-wait": "Its server is down. The request is sent as soon as it is back.",
  "back": "{model} is back.",
  "key-title": "This server requires a key.",
  "key-label": "Key",
  "key-use": "Use key",
  "key-about": "It is stored in this tab only, and sent to this server only.",
  "footer-api": "API documentation",
  "footer-formats": "Reads {formats}, at any sample rate.",
  "footer-nothing": "This page loads nothing from other servers, sets no cookies and does no tracking.",
  "no-script": "This page requires JavaScript, all of it from this server.",
  "problem-no-audio": "The request contained no audio.",
  "problem-several-files": "Several files were sent where one was expected.",
  "problem-empty-audio": "The file is empty.",
  "problem-broken-body": "The upload was interrupted. Try again.",
  "problem-bad-request": "The server did not understand the request. Reload the page.",
  "problem-unauthorized": "The server requires a key.",
  "problem-not-found": "This server does not have that route or model. Is its version the same as the page's?",
  "problem-slow-body": "The upload was too slow. Try again on a faster connection.",
  "problem-body-too-large": "The file is larger than this server accepts.",
  "problem-larger": "The file has {size}, and this server accepts {limit}. Use a shorter part of it, or a compressed format such as MP3.",
  "problem-audio-too-long": "The track is longer than this server accepts.",
  "problem-longer": "The track is longer than the {limit} that this server accepts. Use a part of it.",
  "problem-not-audio": "This is not audio in a supported format ({formats}).",
  "problem-unsupported-audio": "This format, or the codec inside the file, is not supported. Convert the file to WAV or FLAC.",
  "problem-truncated-audio": "The file ends too early; too little of it is there.",
  "problem-corrupt-audio": "The file is damaged and cannot be decoded.",
  "problem-audio-too-short": "The track is too short to classify. Use a track that is a few seconds longer.",
  "problem-silent": "The track is silent, so there is nothing to classify. Check the file, or the microphone if it was recorded.",
  "problem-out-of-distribution": "This does not resemble the music that the model was trained on, and the server refuses it.",
  "problem-internal": "Internal server error. See the server's log.",
  "problem-backend-unavailable": "The server of this model is down.",
  "problem-backend-timeout": "The server of this model did not respond in time.",
  "problem-busy": "The server stayed busy. Try again later.",
  "problem-not-ready": "The model is not loaded yet. Try again later.",
  "problem-timed-out": "The request took too long. Try again, or use a shorter track.",
  "problem-unreachable": "The server is not reachable, or the file can no longer be read.",
  "problem-unknown": "The server rejected this file.",
};

/** @type {Record<keyof typeof EN, string>} */
const FR = {
  "title": "Tonearm : classification de la musique par genre",
  "title@label": "Tonearm : classification audio",
  "tagline": "Classez la musique par genre.",
  "tagline@label": "Classez de l’audio.",
  "lead": "Deux modèles, une machine à vecteurs de support et un réseau VGG19, prédisent le genre d’un morceau et son évolution dans le temps.",
  "lead-1": "Un modèle prédit le genre d’un morceau et son évolution dans le temps.",
  "lead-n": "{n} modèles prédisent le genre d’un morceau et son évolution dans le temps.",
  "lead@label": "Deux modèles, une machine à vecteurs de support et un réseau VGG19, prédisent l’étiquette d’un morceau et son évolution dans le temps.",
  "lead-1@label": "Un modèle prédit l’étiquette d’un morceau et son évolution dans le temps.",
  "lead-n@label": "{n} modèles prédisent l’étiquette d’un morceau et son évolution dans le temps.",
  "skip": "Aller au morceau",
  "language": "Langue",
  "theme": "Mode sombre",
  "choose": "Choisir des fichiers",
  "record": "Enregistrer",
  "examples": "ou essayez un exemple :",
  "example-beat": "Rythme dansant",
  "example-strings": "Cordes lentes",
  "example-guitar": "Guitare saturée",
  "example-name": "Exemple, {name}.wav",
  "examples-about": "Les exemples sont des sons synthétiques que cette page produit. Ils montrent comment elle marche, pas ce que valent les modèles.",
  "example-note": "Ceci est un exemple synthétique produit par la page, et non de la musique. Ce qui en est prédit ne dit rien de l’exactitude des modèles.",
  "drop-hint": "ou déposez-les n’importe où sur cette page",
  "drop-here": "Déposez pour classer",
  "formats": "WAV, AIFF, AU, CAF, FLAC, MP3, AAC, M4A, MP4, OGG, Opus, WebM, Matroska",
  "limits": "jusqu’à {size} et {length} par fichier",
  "privacy": "L’audio n’est envoyé qu’à ce serveur et n’est pas conservé. Les résultats restent dans cet onglet. Rien n’est partagé avec personne.",
  "models": "Modèles",
  "models-none": "Au moins un modèle reste sélectionné.",
  "model-both": "Les deux",
  "model-svm": "SVM",
  "model-vgg19": "VGG19",
  "model-ensemble": "Ensemble",
  "about-svm": "machine à vecteurs de support sur des descripteurs audio",
  "about-vgg19": "réseau convolutif sur le spectrogramme log-mel",
  "about-ensemble": "plusieurs modèles en un, chacun selon son poids",
  "about-models": "À propos des modèles",
  "accuracy-unknown": "exactitude inconnue",
  "state-ready": "prêt",
  "state-unavailable": "en panne",
  "state-unknown": "connexion…",
  "recording": "Enregistrement",
  "record-stop": "Arrêter et classer",
  "record-discard": "Abandonner",
  "record-level": "Niveau d’entrée",
  "record-level-text": "{level} dBFS",
  "record-name": "enregistrement",
  "record-limit": "S’arrête automatiquement au bout de {minutes} minutes.",
  "record-denied": "Le navigateur n’a pas le droit d’utiliser le micro. Autorisez-le dans la barre d’adresse, puis réessayez.",
  "record-missing": "Aucun micro n’a été trouvé.",
  "record-insecure": "Le navigateur ne laisse enregistrer qu’en HTTPS ou depuis cette machine (localhost).",
  "record-failed": "L’enregistrement n’a pas commencé.",
  "play": "Lire",
  "pause": "Pause",
  "player": "Lecteur",
  "unplayable": "Votre navigateur ne sait pas lire ce format. Les modèles savent le lire, et tout ce qui suit fonctionne.",
  "audio-about": "{container} · {rate} kHz · {channels} · {length}",
  "channels-1": "mono",
  "channels-2": "stéréo",
  "channels-n": "{n} canaux",
  "warning-truncated": "Le fichier s’arrête trop tôt ; ce qui s’y trouve a été utilisé",
  "warning-damaged": "Une partie de l’audio est abîmée et a été laissée de côté",
  "warning-wrong_size": "Une taille indiquée dans le fichier est fausse ; l’audio présent a été utilisé",
  "warning-trailing_data": "D’autres données après l’audio ont été ignorées",
  "warning-leading_data": "D’autres données avant l’audio ont été ignorées",
  "warning-wrong_header": "L’en-tête du fichier contredit son audio, qui a fait foi",
  "warning-format_change": "La fréquence d’échantillonnage ou le nombre de canaux change ; la suite a été convertie",
  "warning-antiphase": "Les canaux s’annulent ; le plus fort a été utilisé",
  "warning-other": "Quelque chose ne va pas dans le fichier ; l’audio présent a été utilisé",
  "warning-at": "{warning} (à {at})",
  "warning-lost": "{warning} (il manque {lost})",
  "warning-at-lost": "{warning} (à {at}, il manque {lost})",
  "predictions": "Prédictions",
  "agree": "Les deux modèles prédisent : {genre}.",
  "agree-all": "Les {n} modèles prédisent : {genre}.",
  "disagree": "Les modèles ne sont pas d’accord : {predictions}.",
  "predicts": "{model} prédit {genre}",
  "one-predicts": "{model} prédit {genre}, {percent}.",
  "novel": "Cela ne ressemble pas à la musique sur laquelle le modèle a été entraîné.",
  "novel@label": "Cela ne ressemble pas à l’audio sur lequel le modèle a été entraîné.",
  "novel-all": "Cela ne ressemble pas à ce sur quoi les modèles ont été entraînés.",
  "novel-some": "Cela ne ressemble pas à ce qui a servi à entraîner {models}.",
  "signal-constant": "On dirait un bourdonnement ou un son constant.",
  "signal-tonal": "On dirait de simples sons purs.",
  "signal-noise-like": "On dirait du bruit.",
  "signal-speech-like": "On dirait de la parole.",
  "likely": "Très probablement {genres}",
  "likely-many": "Cela peut être n’importe lequel de {n} genres",
  "likely-many@label": "Cela peut porter n’importe laquelle de {n} étiquettes",
  "probability-of": "Probabilité de chaque genre, {model}",
  "probability-of@label": "Probabilité de chaque étiquette, {model}",
  "labels-n": "{n} étiquettes",
  "labels-more": "et {n} de plus",
  "labels-fewer": "n’afficher que les {n} premières",
  "labels-other": "{n} autres étiquettes",
  "labels-search": "Chercher une étiquette",
  "labels-found": "{n} étiquettes sur {all}",
  "labels-none": "Aucune étiquette ne contient « {query} ».",
  "legend-of": "Étiquettes du graphique, {model}",
  "trained": "entraîné sur {clips}",
  "joins": "réunit {members}",
  "origin-embedded": "intégré au programme",
  "origin-fallback": "fourni avec le programme",
  "trained-described": "entraîné sur {clips} ({description})",
  "clips-1": "1 extrait",
  "clips-n": "{n} extraits",
  "synthetic-clips-1": "1 extrait d’audio synthétique",
  "synthetic-clips-n": "{n} extraits d’audio synthétique",
  "evaluated": "exactitude {accuracy} sur {split}",
  "evaluated-interval": "exactitude {accuracy} ({low} à {high}) sur {split}",
  "synthetic-1": "{models} a été entraîné sur de l’audio synthétique. Ce qu’il prédit pour de la vraie musique ne veut rien dire.",
  "synthetic-n": "{models} ont été entraînés sur de l’audio synthétique. Ce qu’ils prédisent pour de la vraie musique ne veut rien dire.",
  "details": "Modèle et descripteurs",
  "detail-version": "Version",
  "detail-fingerprint": "Empreinte des descripteurs",
  "detail-digest": "Condensé des descripteurs",
  "detail-model": "Modèle",
  "waiting": "En file d’attente…",
  "uploading": "Envoi… {percent}",
  "running": "Analyse…",
  "retrying": "Le serveur est occupé. Nouvel essai dans {seconds} s…",
  "cancelled": "Annulé",
  "failed": "Échec",
  "retry": "Réessayer",
  "done": "Terminé",
  "idle": "Non demandé",
  "over-time": "Au fil du temps",
  "now": "{model} : {genre} {percent}",
  "scrub": "Position dans le morceau",
  "scrub-hint": "Cliquez sur un graphique, ou utilisez les flèches sur le curseur, pour vous déplacer.",
  "waveform": "Forme d’onde",
  "waveform-axis": "amplitude",
  "waveform-label": "Forme d’onde de {name}, {length}",
  "log-mel": "Spectrogramme log-mel",
  "log-mel-about": "niveau selon le temps et la fréquence",
  "log-mel-label": "Spectrogramme log-mel de {name} : fréquence sur une échelle mel de {low} à {high} Hz pendant {length}",
  "legend-db": "Niveau, dB",
  "time-axis": "temps, s",
  "time-axis-minutes": "temps, min:s",
  "timeline-of": "Genre au fil du temps, {model}",
  "timeline-about": "en haut : le genre le plus probable ; dessous : la probabilité de chaque genre, moyennée là où les segments se recouvrent",
  "timeline-label": "Genre au fil du temps prédit par {model} : {bands}",
  "timeline-of@label": "Étiquette au fil du temps, {model}",
  "timeline-about@label": "en haut : l’étiquette la plus probable ; dessous : la probabilité de chaque étiquette, moyennée là où les segments se recouvrent",
  "timeline-label@label": "Étiquette au fil du temps prédite par {model} : {bands}",
  "band": "de {start} à {end} {genre}",
  "timeline-axis": "probabilité",
  "segments": "Segments sous forme de tableau",
  "segment": "Segment",
  "genre": "Genre",
  "genre@label": "Étiquette",
  "probability": "Probabilité",
  "explain": "Afficher la carte de chaleur Grad-CAM",
  "explain-about": "Les zones claires sont les indices les plus forts de {model} pour le genre.",
  "explain-about@label": "Les zones claires sont les indices les plus forts de {model} pour l’étiquette.",
  "explain-genre": "Expliquer le genre",
  "explain-genre@label": "Expliquer l’étiquette",
  "explain-model": "Expliquer le modèle",
  "explain-predicted": "{genre} (prédit)",
  "explain-opacity": "Opacité",
  "explain-legend": "Importance",
  "explain-label": "Carte de chaleur Grad-CAM pour {genre} : maximum vers {seconds} et {hz} Hz",
  "explain-nothing": "{model} n’a trouvé aucun indice du genre {genre} dans ce morceau.",
  "explain-running": "Calcul de la carte de chaleur…",
  "explain-peak": "Les indices du genre {genre} sont les plus forts vers {seconds} et {hz} Hz.",
  "explain-nothing@label": "{model} n’a trouvé aucun indice de l’étiquette {genre} dans ce morceau.",
  "explain-peak@label": "Les indices de l’étiquette {genre} sont les plus forts vers {seconds} et {hz} Hz.",
  "low": "faible",
  "high": "fort",
  "tracks": "Morceaux",
  "tracks-hint": "Sélectionnez un morceau pour voir ses prédictions au fil du temps.",
  "counts": "Morceaux par genre, {model}",
  "counts@label": "Morceaux par étiquette, {model}",
  "count-of": "{label} : {n}",
  "not-predicted": "sans prédiction",
  "find": "Chercher un morceau",
  "shown": "{n} morceaux affichés sur {all}",
  "show-all": "Tout afficher",
  "sort-by": "Trier par",
  "sort-added": "ordre d’ajout",
  "sort-falling": "Décroissant",
  "col-file": "Fichier",
  "col-length": "Durée",
  "col-state": "État",
  "progress": "{done} prédictions sur {all}",
  "ended": "{done} morceaux terminés sur {all}.",
  "n-failed": "{n} en échec",
  "n-cancelled": "{n} annulés",
  "n-down": "{n} en attente d’un serveur",
  "progress-label": "Avancement",
  "cancel": "Annuler",
  "csv": "Enregistrer en CSV",
  "csv-shown": "Enregistrer {n} en CSV",
  "csv-name": "genres.csv",
  "csv-name@label": "etiquettes.csv",
  "clear": "Vider la liste",
  "retry-all": "Relancer les échecs",
  "added": "{n} fichiers ajoutés.",
  "added-1": "{name} ajouté.",
  "finished": "Tous les morceaux sont terminés.",
  "problem-title": "{name} n’a pas pu être analysé",
  "problem-not-kept": "La page a été rechargée, et l’audio n’a pas été conservé. Choisissez le fichier à nouveau.",
  "lost-segments": "Les prédictions au fil du temps prenaient trop de place pour être conservées au rechargement de la page.",
  "lost-all": "Les résultats prenaient trop de place pour être conservés au rechargement de la page.",
  "problem-details": "Message du serveur",
  "down-svm": "Le serveur du SVM est en panne. La page continue avec VGG19, et vérifie toutes les quelques secondes.",
  "down-vgg19": "Le serveur de VGG19 est en panne. La page continue avec le SVM, et vérifie toutes les quelques secondes.",
  "down-both": "Les serveurs des deux modèles sont en panne. La page vérifie toutes les quelques secondes.",
  "down-some": "En panne : {models}. La page continue avec les autres modèles, et vérifie toutes les quelques secondes.",
  "down-all": "En panne : {models}. La page vérifie toutes les quelques secondes.",
  "down-server": "Le serveur de cette page ne répond pas. La page vérifie toutes les quelques secondes.",
  "down-wait": "Son serveur est en panne. La requête sera envoyée dès son retour.",
  "back": "{model} est de retour.",
  "key-title": "Ce serveur exige une clé.",
  "key-label": "Clé",
  "key-use": "Utiliser la clé",
  "key-about": "Elle n’est conservée que dans cet onglet, et envoyée qu’à ce serveur.",
  "footer-api": "Documentation de l’API",
  "footer-formats": "Lit {formats}, à toute fréquence d’échantillonnage.",
  "footer-nothing": "Cette page ne charge rien d’autres serveurs, ne dépose aucun cookie et ne fait aucun suivi.",
  "no-script": "Cette page a besoin de JavaScript, qui vient entièrement de ce serveur.",
  "problem-no-audio": "La requête ne contenait pas d’audio.",
  "problem-several-files": "Plusieurs fichiers ont été envoyés là où un seul était attendu.",
  "problem-empty-audio": "Le fichier est vide.",
  "problem-broken-body": "L’envoi s’est interrompu. Réessayez.",
  "problem-bad-request": "Le serveur n’a pas compris la requête. Rechargez la page.",
  "problem-unauthorized": "Le serveur exige une clé.",
  "problem-not-found": "Ce serveur n’a pas cette route ou ce modèle. Sa version est-elle celle de la page ?",
  "problem-slow-body": "L’envoi était trop lent. Réessayez avec une meilleure connexion.",
  "problem-body-too-large": "Le fichier est plus gros que ce que ce serveur accepte.",
  "problem-larger": "Le fichier fait {size}, et ce serveur accepte {limit}. Utilisez un extrait plus court, ou un format compressé comme le MP3.",
  "problem-audio-too-long": "Le morceau est plus long que ce que ce serveur accepte.",
  "problem-longer": "Le morceau dure plus que ce que ce serveur accepte ({limit}). Utilisez-en un extrait.",
  "problem-not-audio": "Ce n’est pas de l’audio dans un format pris en charge ({formats}).",
  "problem-unsupported-audio": "Ce format, ou le codec du fichier, n’est pas pris en charge. Convertissez le fichier en WAV ou en FLAC.",
  "problem-truncated-audio": "Le fichier s’arrête trop tôt ; il n’en reste pas assez.",
  "problem-corrupt-audio": "Le fichier est abîmé et ne peut pas être décodé.",
  "problem-audio-too-short": "Le morceau est trop court pour être classé. Utilisez un morceau plus long de quelques secondes.",
  "problem-silent": "Le morceau est silencieux : il n’y a rien à classer. Vérifiez le fichier, ou le micro s’il a été enregistré.",
  "problem-out-of-distribution": "Cela ne ressemble pas à la musique sur laquelle le modèle a été entraîné, et le serveur le refuse.",
  "problem-internal": "Erreur interne du serveur. Voir son journal.",
  "problem-backend-unavailable": "Le serveur de ce modèle est en panne.",
  "problem-backend-timeout": "Le serveur de ce modèle n’a pas répondu à temps.",
  "problem-busy": "Le serveur est resté occupé. Réessayez plus tard.",
  "problem-not-ready": "Le modèle n’est pas encore chargé. Réessayez plus tard.",
  "problem-timed-out": "La requête a pris trop de temps. Réessayez, ou avec un morceau plus court.",
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

/** @returns {Language} the stored choice, else the browser's, else English. */
function preferred() {
  const stored = read();
  const selected = [stored, ...navigator.languages].map((tag) => tag?.slice(0, 2).toLowerCase());
  return /** @type {Language} */ (selected.find((tag) => tag === "en" || tag === "fr") ?? "en");
}

function read() {
  try {
    return localStorage.getItem(STORAGE_KEY);
  } catch {
    return null; // storage may be forbidden; the page works without
  }
}

/** @type {Language} */
let language = preferred();

/** @returns {Language} */
export const current = () => language;

/** @param {Language} selected */
export function use(selected) {
  language = selected;
  try {
    localStorage.setItem(STORAGE_KEY, selected);
  } catch {
    // not stored, then
  }
  languages.dispatchEvent(new Event("change"));
}

/**
 * The text of that key, with `{name}` replaced.
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 */
export function t(key, values = {}) {
  const text = STRINGS[language][key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}

/** What the page as a whole speaks of. */
let pageHasGenres = true;

/** Has the page speak of genres, or of labels. */
export function speakOf(areGenres) {
  if (areGenres === pageHasGenres) return;
  pageHasGenres = areGenres;
  translate();
}

/**
 * The text of that key where labels are genres of music, and that of `KEY@label` where they may be anything.
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 * @param {boolean} [areGenres] else those of the page as a whole
 */
export function worded(key, values = {}, areGenres = pageHasGenres) {
  const other = `${key}@label`;
  return t(areGenres || !has(other) ? key : other, values);
}

/** Whether there is a text of that key. */
export const has = (key) => key in EN;

/** Characters that would turn the text around a label about, which a label is shown without. */
const TURNING = /[\u202A-\u202E\u2066-\u2069]/gu;
/** Letters that are written from right to left. */
const RIGHT_TO_LEFT = /[\u0590-\u08FF\uFB1D-\uFDFF\uFE70-\uFEFC\u{10800}-\u{10FFF}\u{1E800}-\u{1EFFF}]/u;

/**
 * The display name of a label: that of a genre in this language, any other as it is. One that is written from right to left is
 * isolated, so that the text around it stays in its order.
 */
export function genre(label) {
  const name = Object.hasOwn(GENRES[language], label) ? GENRES[language][label] : label.replace(TURNING, "");
  return RIGHT_TO_LEFT.test(name) ? `\u2068${name}\u2069` : name;
}

/** The display name of a model: those that have the name of a kind have one, any other is named as it is. */
export const modelName = (name) => (["svm", "vgg19", "ensemble"].includes(name) ? t(`model-${name}`) : name);

/** What a kind of model is, or nothing for one that is not known. */
export const about = (kind) => (has(`about-${kind}`) ? t(`about-${kind}`) : "");

/** Names as a list, such as “a, b, and c”. */
export const listed = (names) => new Intl.ListFormat(language).format(names);

/** Names of which one is meant, such as “a, b, or c”. */
export const alternatives = (names) => new Intl.ListFormat(language, { type: "disjunction" }).format(names);

/** A text of at most that many characters as a reader counts them, with an ellipsis where it is cut. */
export function cut(text, length) {
  const parts = [...new Intl.Segmenter(language).segment(text)].map(({ segment }) => segment);
  return parts.length <= length ? text : `${parts.slice(0, length - 1).join("")}…`;
}

/** @param {number} share 0 to 1 */
export const percent = (share) =>
  new Intl.NumberFormat(language, { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 }).format(share);

/** A share in whole per cent. @param {number} share 0 to 1 */
export const wholePercent = (share) => new Intl.NumberFormat(language, { style: "percent" }).format(share);

/** A number with at most that many decimals. */
export const number = (value, decimals = 0) =>
  new Intl.NumberFormat(language, { maximumFractionDigits: decimals }).format(value);

/** A number with exactly that many decimals. */
export const decimals = (value, count) =>
  new Intl.NumberFormat(language, { minimumFractionDigits: count, maximumFractionDigits: count }).format(value);

/** Seconds as `m:ss`. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** The units of sizes, each 1024 times the one before. */
const BYTES = { en: ["bytes", "KiB", "MiB", "GiB"], fr: ["octets", "Kio", "Mio", "Gio"] };

/** A size such as “64 MiB”, rounded up, so that one above a limit does not look like the limit. */
export function bytes(size) {
  const units = BYTES[language];
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, size)) / 10));
  return `${number(Math.ceil((100 * size) / 1024 ** power) / 100, 2)}\u00a0${units[power]}`;
}

/** A length such as “15 minutes”, or of less than a minute “20 seconds”. */
export function duration(seconds) {
  const [value, unit] = seconds < 60 ? [seconds, "second"] : [seconds / 60, "minute"];
  return new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "long", maximumFractionDigits: 1 }).format(value);
}

/** Seconds with their unit, such as “12.5 s” or “12,5 s”, on one line. */
export const seconds = (value, decimals = 1) => `${number(value, decimals)}\u00a0s`;

/** Fills in the texts: `data-text` is a text, `data-label` an `aria-label`. */
export function translate(root = document) {
  document.documentElement.lang = language;
  document.title = worded("title");
  for (const element of root.querySelectorAll("[data-text]")) {
    element.textContent = worded(element.dataset.text, { formats: t("formats") });
  }
  for (const element of root.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", t(element.dataset.label));
  }
}
