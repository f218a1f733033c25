//! A browser with the page in it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::request;

use crate::driver::Driver;

/// How long a condition may take to come true: a slow machine that runs other tests beside this one.
const PATIENCE: Duration = Duration::from_secs(90);

/// How a browser is set up.
#[derive(Clone, Debug)]
pub struct Setup {
    pub language: &'static str,
    pub width: u32,
    pub height: u32,
    pub is_dark: bool,
    /// WAV file that the microphone plays.
    pub microphone: Option<PathBuf>,
}

impl Default for Setup {
    fn default() -> Self {
        Self { language: "en-GB", width: 1200, height: 900, is_dark: false, microphone: None }
    }
}

/// A browser, closed when dropped.
pub struct Browser {
    client: Client,
    session: String,
    driver: Arc<Driver>,
    width: u32,
    height: u32,
    /// Where it puts what it downloads.
    downloads: TempDir,
}

impl Browser {
    /// Opens the page of the server `origin`.
    pub async fn open(driver: &Arc<Driver>, origin: &str, setup: &Setup) -> Self {
        let downloads = tempfile::tempdir().expect("a folder");
        let mut arguments = vec![
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(), // it runs as root in containers, and opens nothing but our own page
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--no-first-run".to_owned(),
            format!("--lang={}", setup.language),
            "--use-fake-device-for-media-stream".to_owned(),
            "--use-fake-ui-for-media-stream".to_owned(),
        ];
        arguments
            .extend(setup.microphone.iter().map(|wav| format!("--use-file-for-fake-audio-capture={}", wav.display())));
        let capabilities = json!({
            "browserName": "chrome",
            "timeouts": { "script": PATIENCE.as_millis() as u64 },
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": {
                "args": arguments,
                "prefs": {
                    "intl.accept_languages": setup.language,
                    "download.default_directory": downloads.path(),
                    "download.prompt_for_download": false,
                },
            },
        });
        let capabilities = capabilities.as_object().cloned().expect("an object");
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://{}", driver.address))
            .await
            .expect("a browser");
        let session = client.session_id().await.expect("a response").expect("a session");
        let (driver, width, height) = (Arc::clone(driver), setup.width, setup.height);
        let browser = Self { client, session, driver, width, height, downloads };
        let scheme = if setup.is_dark { "dark" } else { "light" };
        browser.develop(
            "Emulation.setEmulatedMedia",
            json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]}),
        );
        browser.resize(width, height);
        browser.client.goto(origin).await.expect("the page");
        browser.until("the page is there", "document.documentElement.dataset.ready === 'true'").await;
        browser
    }

    /// Sends a command of the browser's developer tools.
    fn develop(&self, command: &str, parameters: Value) -> Value {
        self.drive("goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    /// Sends a command that is the driver's own.
    fn drive(&self, command: &str, body: &Value) -> Value {
        let path = format!("/session/{}/{command}", self.session);
        let body = body.to_string();
        let response = request(self.driver.address, "POST", &path, Some("application/json"), body.as_bytes());
        let response = response.expect("the driver responds").json();
        assert!(response["value"]["error"].is_null(), "{command}: {response}");
        response["value"].clone()
    }

    fn resize(&self, width: u32, height: u32) {
        self.develop(
            "Emulation.setDeviceMetricsOverride",
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 }),
        );
    }

    /// Has the connection to the server send no more than so many bytes a second, or as many as it can.
    pub fn limit_uploads(&self, bytes_per_second: Option<u32>) {
        self.develop("Network.enable", json!({}));
        self.develop(
            "Network.emulateNetworkConditions",
            json!({ "offline": false, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_per_second.map_or(-1, i64::from) }),
        );
    }

    /// Runs a script in the page.
    pub async fn run(&self, script: &str) {
        self.client.execute(script, Vec::new()).await.unwrap_or_else(|error| panic!("a script: {error}"));
    }

    /// The value of an expression in the page.
    pub async fn value(&self, expression: &str) -> Value {
        let script =
            format!("const by = (id) => document.querySelector(`[data-testid=\"${{id}}\"]`); return ({expression});");
        self.client.execute(&script, Vec::new()).await.unwrap_or_else(|error| panic!("`{expression}`: {error}"))
    }

    /// The same as a text.
    pub async fn text(&self, expression: &str) -> String {
        let value = self.value(expression).await;
        value.as_str().unwrap_or_else(|| panic!("`{expression}` is not a text: {value}")).to_owned()
    }

    /// The same as a number.
    pub async fn number(&self, expression: &str) -> f64 {
        let value = self.value(expression).await;
        value.as_f64().unwrap_or_else(|| panic!("`{expression}` is not a number: {value}"))
    }

    /// Waits until an expression is true.
    pub async fn until(&self, what: &str, expression: &str) {
        let start = Instant::now();
        while self.value(&format!("Boolean({expression})")).await != true {
            if start.elapsed() > PATIENCE {
                let page = self.text("document.body.innerText").await;
                panic!("timed out: {what}; the page shows:\n{page}\nand its console {:?}", self.console());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until a track is open, with the predictions of these models.
    pub async fn until_predicted(&self, models: &[&str]) {
        let done: String =
            models.iter().map(|name| format!(" && by('prediction-{name}')?.dataset.state === 'done'")).collect();
        self.until("every model has predicted", &format!("!by('track').hidden{done}")).await;
        self.until(
            "the plots are drawn",
            "!by('analysis').hidden && by('waveform').checkVisibility() && by('waveform').width > 300",
        )
        .await;
    }

    pub async fn click(&self, id: &str) {
        let found = self.client.find(Locator::Css(&selector(id))).await;
        found
            .unwrap_or_else(|error| panic!("{id}: {error}"))
            .click()
            .await
            .unwrap_or_else(|error| panic!("{id}: {error}"));
    }

    /// Types into what has the focus.
    pub async fn press(&self, keys: &str) {
        let focused = self.client.active_element().await.expect("an element");
        focused.send_keys(keys).await.unwrap_or_else(|error| panic!("{keys:?}: {error}"));
    }

    /// The `data-testid` of what has the focus, or its name.
    pub async fn focused(&self) -> String {
        self.text("document.activeElement.dataset.testid ?? document.activeElement.localName").await
    }

    /// Chooses files, as the dialogue would.
    pub async fn choose(&self, files: &[PathBuf]) {
        let names: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
        let input = self.client.find(Locator::Css(&selector("files"))).await.expect("the input");
        input.send_keys(&names.join("\n")).await.expect("the files are taken");
    }

    /// A text file that the page has handed out, as soon as it is whole.
    pub async fn downloaded(&self, name: &str) -> String {
        let path = self.downloads.path().join(name);
        let start = Instant::now();
        // The browser writes under another name, and renames it at the end.
        while !path.is_file() {
            assert!(start.elapsed() < PATIENCE, "timed out: {name} is downloaded");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        fs::read_to_string(&path).expect("a text file")
    }

    /// What is in the window now: a screenshot without scrolling, if `TONEARM_SCREENSHOTS` is set.
    pub async fn window(&self, name: &str) {
        let Some(folder) = std::env::var_os("TONEARM_SCREENSHOTS") else { return };
        fs::create_dir_all(&folder).expect("a folder for screenshots");
        let image = self.client.screenshot().await.expect("a screenshot");
        fs::write(Path::new(&folder).join(format!("{name}.png")), image).expect("a file");
    }

    /// Waits until an element is in the window as a whole, without scrolling.
    pub async fn until_in_sight(&self, what: &str, element: &str) {
        let inside = "top >= 0 && bottom <= innerHeight && height > 0";
        let inside = format!("(({{ top, bottom, height }}) => {inside})({element}.getBoundingClientRect())");
        self.until(what, &inside).await;
    }

    /// Opens another page.
    pub async fn goto(&self, address: &str) {
        self.client.goto(address).await.expect("the page");
    }

    pub async fn reload(&self) {
        self.client.refresh().await.expect("the page");
        self.until("the page is there", "document.documentElement.dataset.ready === 'true'").await;
    }

    /// How many colours a canvas shows; 0 where it is not to be seen.
    pub async fn colours(&self, id: &str) -> usize {
        let script = format!(
            "(() => {{
                const canvas = by('{id}');
                if (!canvas.checkVisibility() || canvas.width === 0) return 0;
                const {{ data }} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
                const words = new Uint32Array(data.buffer);
                return new Set(words).size;
            }})()"
        );
        self.number(&script).await as usize
    }

    /// Clicks a canvas, at that share of its width and height.
    pub async fn click_at(&self, id: &str, (x, y): (f64, f64)) {
        self.value(&format!("by('{id}').scrollIntoView({{ block: 'center' }})")).await;
        let at = self.value(&format!("(({{ x, y, width, height }}) => [x + {x} * width, y + {y} * height])(by('{id}').getBoundingClientRect())")).await;
        for kind in ["mousePressed", "mouseReleased"] {
            self.develop(
                "Input.dispatchMouseEvent",
                json!({ "type": kind, "x": at[0], "y": at[1], "button": "left", "clickCount": 1 }),
            );
        }
    }

    /// Warnings and errors of the browser's console since the last call.
    pub fn console(&self) -> Vec<String> {
        let entries = self.drive("se/log", &json!({ "type": "browser" }));
        let entries = entries.as_array().cloned().unwrap_or_default();
        let bad = entries.iter().filter(|entry| entry["level"] == "SEVERE" || entry["level"] == "WARNING");
        bad.map(|entry| entry["message"].to_string()).collect()
    }

    /// The console is empty, and everything was loaded from the page's own server.
    pub async fn is_clean(&self) {
        assert_eq!(self.console(), Vec::<String>::new());
        self.is_alone().await;
    }

    /// Everything was loaded from the page's own server.
    pub async fn is_alone(&self) {
        let elsewhere = "performance.getEntriesByType('resource').map(({ name }) => name)
            .filter((name) => !name.startsWith(`${location.origin}/`) && !name.startsWith(`blob:${location.origin}/`))";
        assert_eq!(self.value(elsewhere).await, json!([]));
    }

    /// No part of the page is beyond the right edge of the window.
    pub async fn fits(&self, what: &str) {
        let over = "[...document.querySelectorAll('body *')].filter((element) => element.checkVisibility()
            && !element.closest('.unseen, svg') && element.getBoundingClientRect().right > innerWidth + 1)
            .map((element) => `${element.localName}.${element.className}`)";
        assert_eq!(self.value(over).await, json!([]), "{what}");
        assert!(
            self.number("document.documentElement.scrollWidth - innerWidth").await <= 0.0,
            "{what} scrolls sideways"
        );
    }

    /// Writes a screenshot of the whole page, if `TONEARM_SCREENSHOTS` is set.
    pub async fn screenshot(&self, name: &str) {
        let Some(folder) = std::env::var_os("TONEARM_SCREENSHOTS") else { return };
        fs::create_dir_all(&folder).expect("a folder for screenshots");
        self.value("scrollTo(0, 0)").await;
        let height = self.number("document.documentElement.scrollHeight").await as u32;
        self.resize(self.width, height);
        self.value("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))").await;
        let image = self.client.screenshot().await.expect("a screenshot");
        self.resize(self.width, self.height);
        fs::write(Path::new(&folder).join(format!("{name}.png")), image).expect("a file");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = request(self.driver.address, "DELETE", &format!("/session/{}", self.session), None, b"");
    }
}

fn selector(id: &str) -> String {
    format!("[data-testid=\"{id}\"]")
}
