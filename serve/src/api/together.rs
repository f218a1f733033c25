//! `POST /v1/predict`: several models, and features, of one file that is sent once.

#![expect(unused_qualifications, reason = "what utoipa makes of `params(TogetherQuery)` names it in full")]

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    body::Bytes,
    extract::{Request, State},
    http::{HeaderValue, Uri, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{
    docs::Problems,
    features::{FeaturesRequest, FeaturesResponse, Numbers},
    predict::{AudioForm, AudioJson, explained, read_audio},
};
use crate::{
    App, Rejection,
    config::ModelName,
    engine::{Also, DecodedClip, TogetherRequest, Wanted, pool::CancellationToken, response::PredictResponse},
    http::{admission, middleware::CACHE},
    rejection::Problem,
};

/// Parameters of `POST /v1/predict`.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TogetherQuery {
    /// The models that predict, by their names, separated by commas; every model that is served without it.
    #[param(example = "svm,vgg19", nullable = false, pattern = "^[a-z0-9_-][a-z0-9._-]*(,[a-z0-9_-][a-z0-9._-]*)*$")]
    pub(crate) models: Option<String>,
    /// The label that is explained by those of the models that explain, `predicted` or the name of one; the others predict without.
    #[param(example = "predicted", nullable = false, min_length = 1)]
    explain: Option<String>,
    /// Features of the file too: some of `log_mel`, `mfcc`, `descriptors`, `waveform`, separated by commas.
    #[param(
        example = "waveform,log_mel",
        nullable = false,
        pattern = "^(log_mel|mfcc|descriptors|waveform)(,(log_mel|mfcc|descriptors|waveform))*$"
    )]
    pub(crate) include: Option<String>,
    /// The model whose feature specification is used for `include`, instead of librosa's defaults.
    #[param(nullable = false)]
    pub(crate) model: Option<String>,
    /// Of `include`. `json`: numbers; `base64`: little-endian f32, row after row.
    #[serde(default)]
    #[param(inline)]
    encoding: Numbers,
}

impl TogetherQuery {
    /// Reads the query of a request.
    ///
    /// # Errors
    /// [`Rejection::BadQuery`].
    pub(crate) fn read(uri: &Uri) -> Result<Self, Rejection> {
        let query: Self = admission::query(uri)?;
        let problem = if query.model.is_some() && query.include.is_none() {
            "`model` is of `include`: it names the model whose feature specification is used; `models` names those that predict"
        } else if query.names().is_some_and(|names| names.iter().any(String::is_empty)) {
            "`models` has an empty name; expected names of models, separated by commas"
        } else if query.explain.as_deref() == Some("") {
            "`explain` is empty; expected `predicted` or a label"
        } else {
            return Ok(query);
        };
        Err(Rejection::BadQuery { problem: problem.to_owned() })
    }

    /// The names of the models that predict, each once; `None` for every model.
    pub(crate) fn names(&self) -> Option<Vec<String>> {
        let mut names: Vec<String> = Vec::new();
        for name in self.models.as_deref()?.split(',').map(str::trim) {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        Some(names)
    }
}

/// What several models, and the features, say of one file; for the description of the API.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it stands in the description of the API")]
pub(crate) struct TogetherResponse {
    /// By the name of each model, in the order of the request.
    predictions: BTreeMap<String, ModelAnswer>,
    /// Only with `include`.
    #[schema(nullable = false)]
    features: Option<FeaturesAnswer>,
}

/// What one model says.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it stands in the description of the API")]
pub(crate) struct ModelAnswer {
    /// As `POST /v1/models/{name}/predict` gives it,
    #[schema(nullable = false)]
    answer: Option<PredictResponse>,
    /// or why there is none. It has one of the two.
    #[schema(nullable = false)]
    problem: Option<Problem>,
}

/// The features.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it stands in the description of the API")]
pub(crate) struct FeaturesAnswer {
    /// As `POST /features` gives them,
    #[schema(nullable = false)]
    answer: Option<FeaturesResponse>,
    /// or why there are none. It has one of the two.
    #[schema(nullable = false)]
    problem: Option<Problem>,
}

/// The JSON of an answer, or of the problem that is there in its place.
pub(crate) type Answer = Result<Bytes, Bytes>;

/// An answer, or the problem that a rejection is.
pub(crate) fn answer_of(result: Result<Bytes, Rejection>) -> Answer {
    result.map_err(|rejection| serde_json::to_vec(&Problem::from(&rejection)).unwrap_or_default().into())
}

/// Writes a [`TogetherResponse`]. What is JSON already is written into it as it is.
pub(crate) fn write(predictions: &[(String, Answer)], features: Option<&Answer>) -> Bytes {
    fn member(json: &mut Vec<u8>, name: &str, answer: &Answer) {
        json.extend(serde_json::to_vec(name).unwrap_or_default());
        let (what, value) = match answer {
            Ok(value) => (&b":{\"answer\":"[..], value),
            Err(value) => (&b":{\"problem\":"[..], value),
        };
        json.extend_from_slice(what);
        json.extend_from_slice(value);
        json.push(b'}');
    }
    let mut json = b"{\"predictions\":{".to_vec();
    for (at, (name, answer)) in predictions.iter().enumerate() {
        if at > 0 {
            json.push(b',');
        }
        member(&mut json, name, answer);
    }
    json.push(b'}');
    if let Some(features) = features {
        json.push(b',');
        member(&mut json, "features", features);
    }
    json.push(b'}');
    json.into()
}

/// Predict the labels of a file by several models, and extract its features
///
/// The file is sent, decoded and extracted once. A model that has no answer has a problem in its place; where the file cannot be
/// decoded, or no model is ready, that is the problem of the request.
#[utoipa::path(
    post, operation_id = "predict_together", path = "/v1/predict", tag = "predict",
    params(TogetherQuery),
    request_body(description = "The audio", content((AudioForm = "multipart/form-data"), (AudioJson = "application/json"), (Vec<u8> = "application/octet-stream"))),
    responses((status = 200, description = "The predictions, and the features", body = TogetherResponse), Problems)
)]
pub(crate) async fn together(State(app): State<Arc<App>>, request: Request) -> Result<Response, Rejection> {
    let (models, wanted, input) = admission::admit(&app, request, async |head, body| {
        let query = TogetherQuery::read(&head.uri)?;
        if head.headers.contains_key(admission::VERSION) {
            let problem =
                "Tonearm-Version names a version of one model; send it to /v1/models/{name}/predict".to_owned();
            return Err(Rejection::BadQuery { problem });
        }
        let models = models(&app, &query)?;
        let include = query.include.as_deref();
        let of = |_| FeaturesRequest::read(&app, include, query.model.as_deref(), query.encoding);
        let wanted = include.map(of).transpose()?;
        Ok((models, wanted, read_audio(&app, head, body).await?))
    })
    .await?;
    let request = TogetherRequest {
        models: models.iter().filter_map(|(_, model)| model.as_ref().ok().cloned()).collect(),
        input,
        also: wanted.map(|wanted| {
            let engine = Arc::clone(app.engine());
            let also = move |token: &CancellationToken, clip: &DecodedClip| wanted.describe(&engine, token, clip);
            Box::new(also) as Also
        }),
    };
    let together =
        admission::within(&app, async |permit| app.engine().predict_together(&permit, request).await).await?;
    let is_cached = together.predictions.iter().flatten().all(|response| response.cached) && together.also.is_none();
    let mut predicted = together.predictions.into_iter();
    let answers = models.into_iter().map(|(name, model)| {
        let result = match model {
            Ok(_) => predicted.next().unwrap_or_else(|| Err(Rejection::internal("a prediction is missing"))),
            Err(rejection) => Err(rejection),
        };
        (name.to_string(), answer_of(result.map(|response| response.json)))
    });
    let json = write(&answers.collect::<Vec<_>>(), together.also.map(answer_of).as_ref());
    let cache = HeaderValue::from_static(if is_cached { "hit" } else { "miss" });
    let media_type = HeaderValue::from_static("application/json");
    Ok(([(header::CONTENT_TYPE, media_type), (CACHE, cache)], json).into_response())
}

/// A model that is asked for, or why it does not predict.
type Asked = (ModelName, Result<Wanted, Rejection>);

/// The models that predict, and of each that does not why.
///
/// # Errors
/// [`Rejection::UnknownModel`]; where none can predict, why the first does not: [`Rejection::NotReady`], or [`Rejection::BadQuery`] for
/// a label to explain that it does not have.
fn models(app: &App, query: &TogetherQuery) -> Result<Vec<Asked>, Rejection> {
    let slots = match query.names() {
        Some(names) => names.iter().map(|name| app.engine().slot_named(name)).collect::<Result<Vec<_>, _>>()?,
        None => app.engine().slots(),
    };
    let mut models = Vec::new();
    for slot in slots {
        let wanted = match slot.ready() {
            Ok(model) => {
                let label = query.explain.as_deref().filter(|_| model.explains());
                let explain = label.map(|label| explained(label, &model)).transpose();
                explain.map(|explain| Wanted { model, explain })
            }
            Err(rejection) => Err(rejection),
        };
        models.push((slot.name().clone(), wanted));
    }
    if models.iter().all(|(_, wanted)| wanted.is_err()) {
        let first = models.into_iter().find_map(|(_, wanted)| wanted.err());
        return Err(first.unwrap_or(Rejection::UnknownModel));
    }
    Ok(models)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_model_is_named_once_and_none_is_empty() {
        let read = |query: &str| TogetherQuery::read(&format!("/v1/predict?{query}").parse().expect("a target"));
        let names = |query: &str| read(query).expect("valid").names();
        assert_eq!(names(""), None);
        assert_eq!(names("models=vgg19,%20svm,vgg19").expect("some"), ["vgg19", "svm"]);
        for bad in ["models=", "models=svm,,vgg19", "models=svm,", "model=svm", "modles=svm", "models=svm&explain="] {
            assert!(matches!(read(bad), Err(Rejection::BadQuery { .. })), "{bad}");
        }
    }

    #[test]
    fn what_is_json_is_written_as_it_is() {
        let answer = |json: &'static str| Ok(Bytes::from_static(json.as_bytes()));
        let problem = answer_of(Err(Rejection::UnknownModel));
        let predictions = [("svm".to_owned(), answer("{\"b\":0.10,\"a\":1}")), ("x\"y".to_owned(), problem)];
        let text = write(&predictions, Some(&answer("[1]")));
        assert!(text.starts_with(b"{\"predictions\":{\"svm\":{\"answer\":{\"b\":0.10,\"a\":1}},"));
        let value: Value = serde_json::from_slice(&text).expect("JSON");
        assert_eq!(value["predictions"]["x\"y"]["problem"]["status"], 404);
        assert_eq!(value["features"], json!({"answer": [1]}));
        let none: Value = serde_json::from_slice(&write(&[], None)).expect("JSON");
        assert_eq!(none, json!({"predictions": {}}));
    }
}
