//! In simulation: a call's handler ends when its caller goes or its time is over, as tonic's own transport has it.

use std::task::{Context, Poll};

use ringfence_probes::callers::Line;
use tonic::{
    Request, Response, Status,
    codegen::{BoxFuture, BoxMessageStream, RequestExt as _, Service, http::uri::PathAndQuery},
    transport::NamedService,
};

use crate::limits::{KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT};

/// A service whose handlers are dropped when nobody waits for them.
pub struct Attended<S>(pub S);

impl<S: NamedService> NamedService for Attended<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<(PathAndQuery, Request<BoxMessageStream>)> for Attended<S>
where
    S: Service<
            (PathAndQuery, Request<BoxMessageStream>),
            Response = Response<BoxMessageStream>,
            Error = Status,
            Future = BoxFuture<Response<BoxMessageStream>, Status>,
        >,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, (path, request): (PathAndQuery, Request<BoxMessageStream>)) -> Self::Future {
        let caller = request.extensions().get::<Line>().cloned();
        let time = request.timeout();
        let answer = self.0.call((path, request));
        // Streams have no caller with them: their end is told by the transport.
        let Some(caller) = caller else { return answer };
        let attended = caller.attend(KEEPALIVE_INTERVAL + KEEPALIVE_TIMEOUT, answer);
        Box::pin(async move {
            let answer = match time {
                Some(time) => tokio::time::timeout(time, attended).await.unwrap_or(None),
                None => attended.await,
            };
            answer.unwrap_or_else(|| Err(Status::cancelled("nobody waits for the answer any more")))
        })
    }
}
