//! Many songs in one request, answered a line each as they are ready.

use std::{collections::VecDeque, sync::Arc};

use axum::{
    body::Body as HttpBody,
    extract::{Request, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use models::Classifier;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::{sync::mpsc, task::JoinSet, time::timeout};
use utoipa::ToSchema;

use crate::{
    App, Rejection,
    api::{
        answer::PredictResponse,
        docs::Problems,
        problem::Problem,
        upload::{Encoding, File, Upload, files},
    },
    cli::config::Kind,
    engine::{hear::Question, pool::Permit},
    http::admission::{self, Song},
};

/// Media type of the answer: a JSON object a line.
const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");
/// Lines that wait for a client who reads slowly; beyond them the work waits too.
const LINES: usize = 16;

/// The form that many files come in, for the description of the API.
#[derive(ToSchema)]
#[schema(as = FilesForm)]
#[expect(dead_code, reason = "it stands in the description of the API")]
pub(crate) struct FilesForm {
    /// The files, at most 64.
    #[schema(value_type = Vec<String>, format = Binary)]
    files: Vec<Vec<u8>>,
}

/// A line of the answer: one of `answer` and `problem`.
#[derive(Serialize)]
struct Line<'a> {
    index: usize,
    file_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Problem>,
}

/// The same, for the description of the API.
#[derive(ToSchema)]
#[schema(as = BatchLine)]
#[expect(dead_code, reason = "it stands in the description of the API")]
pub(crate) struct LineSchema {
    /// Which of the files, from 0.
    index: usize,
    /// What the form calls it.
    file_name: String,
    /// What is answered for it,
    answer: Option<PredictResponse>,
    /// or why there is no answer.
    problem: Option<Problem>,
}

/// The genres of many songs, by the support vector machine
///
/// One JSON object a line, each as soon as it is ready; `index` says of which file it is.
#[utoipa::path(
    post, path = "/predict/batch", tag = "genre",
    params(("tonearm-version" = Option<String>, Header, description = "A version of the model other than the one in use")),
    request_body(description = "The files", content = FilesForm, content_type = "multipart/form-data"),
    responses((status = 200, description = "A line for each file", body = LineSchema, content_type = "application/x-ndjson"), Problems)
)]
pub(crate) async fn predict_batch(State(app): State<Arc<App>>, request: Request) -> Result<Response, Rejection> {
    of(app, Kind::Svm, request).await
}

/// The genres of many songs, by VGG19
#[utoipa::path(
    post, path = "/vgg/batch", tag = "genre",
    params(("tonearm-version" = Option<String>, Header, description = "A version of the model other than the one in use")),
    request_body(description = "The files", content = FilesForm, content_type = "multipart/form-data"),
    responses((status = 200, description = "A line for each file", body = LineSchema, content_type = "application/x-ndjson"), Problems)
)]
pub(crate) async fn vgg_batch(State(app): State<Arc<App>>, request: Request) -> Result<Response, Rejection> {
    of(app, Kind::Vgg19, request).await
}

async fn of(app: Arc<App>, kind: Kind, request: Request) -> Result<Response, Rejection> {
    let (model, files, held) = admission::admit(&app, request, async |head, body| {
        let model = admission::choose(&app, kind, admission::named_version(&head.headers)).await?;
        let Encoding::Multipart { boundary } = Encoding::of(&head.headers)? else {
            return Err(Rejection::UnsupportedContentType {
                hint: " (many files come as multipart/form-data, in fields `files`)",
            });
        };
        let (bytes, held) = admission::read(&app, body, app.limits().max_batch_bytes).await?;
        Ok((model, files(&bytes, &boundary)?, held))
    })
    .await?;
    let place = app.enter()?;
    let (lines, receiver) = mpsc::channel::<Result<Vec<u8>, std::convert::Infallible>>(LINES);
    let work = Work { app, kind, model, place: Arc::new(place), lines };
    tokio::spawn(async move {
        work.run(files).await;
        drop(held);
    });
    let stream =
        futures_util::stream::unfold(receiver, async |mut receiver| receiver.recv().await.map(|line| (line, receiver)));
    Ok(([(header::CONTENT_TYPE, NDJSON)], HttpBody::from_stream(stream)).into_response())
}

/// The files of one request. It has one place among the workers, whatever their number.
struct Work {
    app: Arc<App>,
    kind: Kind,
    model: Arc<dyn Classifier>,
    place: Arc<Permit>,
    lines: mpsc::Sender<Result<Vec<u8>, std::convert::Infallible>>,
}

impl Work {
    /// Hears as many files at once as there are workers, until all are done or the client has gone.
    async fn run(self, files: Vec<File>) {
        let work = Arc::new(self);
        let mut waiting: VecDeque<_> = files.into_iter().enumerate().collect();
        let mut running = JoinSet::new();
        let start = |running: &mut JoinSet<()>, (index, file): (usize, File)| {
            let work = Arc::clone(&work);
            running.spawn(async move { work.hear(index, file).await });
        };
        for file in waiting.drain(..work.app.threads().min(waiting.len())) {
            start(&mut running, file);
        }
        // Dropping the set stops what runs: its jobs are told that their caller has gone.
        while running.join_next().await.is_some() && !work.lines.is_closed() {
            if let Some(file) = waiting.pop_front() {
                start(&mut running, file);
            }
        }
    }

    async fn hear(&self, index: usize, file: File) {
        let File { name, audio } = file;
        let answer = async {
            let limit = self.app.limits().max_body_bytes;
            if audio.len() as u64 > limit {
                return Err(Rejection::BodyTooLarge { limit });
            }
            // The body of the request holds the memory for all of its files.
            let held = self.app.budget().try_reserve(0).ok_or(Rejection::Crowded)?;
            let song = Song { upload: Upload::new(Encoding::Raw, audio), held };
            let question = Question { kind: self.kind, model: Arc::clone(&self.model), explain: None };
            let deadline = self.app.limits().answer_deadline;
            let heard = timeout(deadline, self.app.hear(&self.place, song, question)).await;
            heard.unwrap_or(Err(Rejection::TimedOut { seconds: deadline.as_secs() }))
        };
        let answer = answer.await.and_then(|reply| {
            let json = String::from_utf8(reply.json.to_vec()).map_err(Rejection::internal)?;
            RawValue::from_string(json).map_err(Rejection::internal)
        });
        let (answer, problem) = match &answer {
            Ok(answer) => (Some(&**answer), None),
            Err(rejection) => (None, Some(Problem::from(rejection))),
        };
        let Ok(mut line) = serde_json::to_vec(&Line { index, file_name: &name, answer, problem }) else { return };
        line.push(b'\n');
        // A client that has gone is seen by `run`.
        let _ = self.lines.send(Ok(line)).await;
    }
}
