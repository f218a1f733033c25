//! The Open Inference Protocol over gRPC, as `tritonclient.grpc` speaks it: the same models, tensors and limits as over HTTP.
//!
//! ```text
//! body, bounded ── tonic, prost ──> message ── convert ──> InferRequest ── as over HTTP ──> InferResponse ── convert ──> message
//! ```
//!
//! A response has its tensors in `raw_output_contents` where the request had its input in `raw_input_contents`, else in `contents`.
//! What fails is a status of gRPC, whose message is the `error` over HTTP.

mod convert;
pub mod messages;

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::request::Parts,
    middleware,
    response::Response,
    routing::post,
};
use prost::Message;
use tonic::{Code, Status, server::Grpc};
use tonic_prost::ProstCodec;
use tower::service_fn;

use self::messages::{
    Empty, ModelConfigResponse, ModelInferRequest, ModelMetadataResponse, ModelRequest, ModelStatisticsResponse,
    ReadyResponse, RepositoryIndexRequest, RepositoryIndexResponse, ServerLiveResponse, ServerMetadataResponse,
};
use super::{
    answer, configuration, entries,
    error::InferenceError,
    metadata,
    response::{IndexRequest, ServerMetadata},
    statistics,
};
use crate::{
    App, Rejection,
    engine::budget::Reservation,
    http::{admission, middleware as layers},
};

/// Bytes of a request that carries no tensor.
const MAX_SMALL: u64 = 64 << 10;
/// Bytes before a message that say how long it is.
const PREFIX: u64 = 5;

/// The methods of the service `inference.GRPCInferenceService`, but for those that load models, share memory, trace or stream.
pub fn router(app: Arc<App>) -> Router {
    let method = |name: &str| format!("/inference.GRPCInferenceService/{name}");
    Router::new()
        .route(&method("ServerLive"), post(server_live))
        .route(&method("ServerReady"), post(server_ready))
        .route(&method("ServerMetadata"), post(server_metadata))
        .route(&method("ModelReady"), post(model_ready))
        .route(&method("ModelMetadata"), post(model_metadata))
        .route(&method("ModelConfig"), post(model_config))
        .route(&method("ModelStatistics"), post(model_statistics))
        .route(&method("RepositoryIndex"), post(repository_index))
        .route(&method("ModelInfer"), post(model_infer))
        .fallback(async || -> Response { Status::unimplemented("this service has no such method").into_http() })
        .layer(middleware::from_fn_with_state(Arc::clone(&app), layers::observe))
        .with_state(app)
}

async fn server_live(State(app): State<Arc<App>>, request: Request) -> Response {
    unary(&app, request, Admits::Everybody, async |_: Empty| Ok(ServerLiveResponse { live: true })).await
}

async fn server_ready(State(app): State<Arc<App>>, request: Request) -> Response {
    let ready =
        async |_: Empty| Ok(ReadyResponse { ready: !app.is_stopping() && app.engine().registry().ready().is_ok() });
    unary(&app, request, Admits::Everybody, ready).await
}

async fn server_metadata(State(app): State<Arc<App>>, request: Request) -> Response {
    let metadata = async |_: Empty| Ok(ServerMetadataResponse::from(ServerMetadata::THIS));
    unary(&app, request, Admits::Small, metadata).await
}

async fn model_ready(State(app): State<Arc<App>>, request: Request) -> Response {
    let ready =
        async |ModelRequest { name, version }: ModelRequest| match app.engine().model(&name, named(version)).await {
            Ok(_) => Ok(ReadyResponse { ready: true }),
            Err(Rejection::NotReady { .. }) => Ok(ReadyResponse { ready: false }),
            Err(rejection) => Err(rejection.into()),
        };
    unary(&app, request, Admits::Small, ready).await
}

async fn model_metadata(State(app): State<Arc<App>>, request: Request) -> Response {
    let describe = async |ModelRequest { name, version }: ModelRequest| {
        Ok(ModelMetadataResponse::from(metadata(&app, &name, named(version)).await?.1))
    };
    unary(&app, request, Admits::Small, describe).await
}

async fn model_config(State(app): State<Arc<App>>, request: Request) -> Response {
    let describe = async |ModelRequest { name, version }: ModelRequest| {
        Ok(ModelConfigResponse { config: Some(configuration(&app, &name, named(version)).await?.into()) })
    };
    unary(&app, request, Admits::Small, describe).await
}

async fn model_statistics(State(app): State<Arc<App>>, request: Request) -> Response {
    let count = async |ModelRequest { name, version }: ModelRequest| {
        let (name, version) = (named(name), named(version));
        Ok(ModelStatisticsResponse::from(statistics(&app, name.as_deref(), version.as_deref()).await?))
    };
    unary(&app, request, Admits::Small, count).await
}

async fn repository_index(State(app): State<Arc<App>>, request: Request) -> Response {
    let list = async |RepositoryIndexRequest { ready }: RepositoryIndexRequest| {
        Ok(RepositoryIndexResponse::from(entries(&app, IndexRequest { ready })))
    };
    unary(&app, request, Admits::Small, list).await
}

async fn model_infer(State(app): State<Arc<App>>, request: Request) -> Response {
    let infer = async |request: ModelInferRequest| {
        let is_raw = !request.raw_input_contents.is_empty();
        let model = app.engine().model(&request.model_name, named(request.model_version.clone())).await?;
        let response = answer(&app, &model, move || convert::infer_request(request)).await?;
        Ok(convert::infer_response(response, is_raw))
    };
    unary(&app, request, Admits::Upload, infer).await
}

/// A name or a version, which is empty where none is given.
fn named(name: String) -> Option<String> {
    Some(name).filter(|name| !name.is_empty())
}

/// What a method lets in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Admits {
    /// A small message, with a key or without.
    Everybody,
    /// A small message.
    Small,
    /// A message as large as the body of a request, where there is a permit for it.
    Upload,
}

/// Answers a method that takes one message and gives one. The body is read before, within the limits of every body.
async fn unary<Q, A>(
    app: &App,
    request: Request,
    admits: Admits,
    method: impl AsyncFnOnce(Q) -> Result<A, InferenceError>,
) -> Response
where
    Q: Message + Default + 'static,
    A: Message + 'static,
{
    let limit = if admits == Admits::Upload { app.limits().max_body_bytes } else { MAX_SMALL };
    let (head, body, _held) = match read(app, request, admits, limit + PREFIX).await {
        Ok(read) => read,
        Err(rejection) => return fail(rejection),
    };
    let mut failure = None;
    // It is called once.
    let mut once = Some((method, &mut failure));
    let call = service_fn(move |request: tonic::Request<Q>| {
        let once = once.take();
        async move {
            let Some((method, failure)) = once else { return Err(Status::internal("there is one message")) };
            method(request.into_inner()).await.map(tonic::Response::new).map_err(|error| {
                let status = status_of(&error);
                *failure = Some(error);
                status
            })
        }
    });
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut grpc = Grpc::new(ProstCodec::<A, Q>::default()).max_decoding_message_size(limit);
    let response = grpc.unary(call, Request::from_parts(head, Body::from(body))).await.map(Body::new);
    noted(response, failure.as_ref())
}

/// Reads the body of a request, unless it needs a key that it has not.
async fn read(
    app: &App,
    request: Request,
    admits: Admits,
    limit: u64,
) -> Result<(Parts, Bytes, Reservation), Rejection> {
    admission::admit(app, request, async |head, body| {
        let needs_key = admits != Admits::Everybody;
        if app.keys().is_some_and(|keys| needs_key && !keys.admits(&head.headers)) {
            return Err(Rejection::Unauthorized);
        }
        let (bytes, held) = if admits == Admits::Upload {
            admission::read(app, body, limit).await?
        } else {
            admission::read_body(body, app.limits(), limit, app.engine().budget()).await?
        };
        Ok((head.clone(), bytes, held))
    })
    .await
}

/// A response that says what failed.
fn fail(rejection: Rejection) -> Response {
    let error = InferenceError::from(rejection);
    noted(status_of(&error).into_http(), Some(&error))
}

/// Notes what failed, for the log.
fn noted(mut response: Response, failure: Option<&InferenceError>) -> Response {
    if let Some(InferenceError::Rejected { kind, .. }) = failure {
        response.extensions_mut().insert(*kind);
    }
    response
}

/// The status of gRPC that stands for an error.
fn status_of(error: &InferenceError) -> Status {
    let code = match error.status().as_u16() {
        401 => Code::Unauthenticated,
        404 => Code::NotFound,
        408 => Code::DeadlineExceeded,
        413 => Code::ResourceExhausted,
        503 => Code::Unavailable,
        500.. => Code::Internal,
        _ => Code::InvalidArgument,
    };
    Status::new(code, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_the_status_that_clients_act_on() {
        let of = |rejection: Rejection| status_of(&rejection.into()).code();
        assert_eq!(of(Rejection::Busy { retry_after: 1 }), Code::Unavailable);
        assert_eq!(of(Rejection::Unauthorized), Code::Unauthenticated);
        assert_eq!(of(Rejection::UnknownModel), Code::NotFound);
        assert_eq!(of(Rejection::BodyTooLarge { limit: 1 }), Code::ResourceExhausted);
        assert_eq!(of(Rejection::EmptyAudio), Code::InvalidArgument);
        assert_eq!(of(Rejection::internal("x")), Code::Internal);
        assert_eq!(status_of(&InferenceError::MoreThanLogMel).code(), Code::InvalidArgument);
    }
}
