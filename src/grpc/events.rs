//! The service `vedetta.v1.Events`: check, publish or subscribe, convert.
//!
//! Not here: what is told, and when (`crate::events`); how a stream ends (`stream`).

use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

use crate::config::{EventsConfig, Limits};
use crate::events::{Delivery, Events, Gap, Message, Publication, Subscription};
use crate::model::{CacheId, Fault};
use crate::proto::v1;
use crate::proto::v1::subscribe_response::{self as answer, Kind};

use super::check::Checker;
use super::convert::timestamp;
use super::metrics::{Method, Metrics, Outcome};
use super::request::open;
use super::status::Refusal;
use super::stream::{Source, answers};

/// Serves the channels.
#[derive(Debug, Clone)]
pub struct EventsService {
    events: Arc<Events>,
    config: EventsConfig,
    limits: Limits,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
}

impl EventsService {
    /// Serves these channels until `stop`.
    pub fn new(
        events: Arc<Events>,
        config: EventsConfig,
        limits: Limits,
        metrics: Arc<Metrics>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            events,
            config,
            limits,
            metrics,
            stop,
        }
    }

    fn checker(&self) -> Checker<'_, impl Fn(&CacheId) -> Result<(), String>> {
        Checker::new(&self.limits, |_: &CacheId| Ok(()))
    }

    async fn append(
        &self,
        request: Request<v1::PublishRequest>,
    ) -> Result<v1::PublishResponse, Refusal> {
        let (call, request) = open(request);
        let mut check = self.checker();
        let durability = check.durability(request.durability);
        let channel = check.channel(&request.tenant, &request.channel);
        let payload = check.payload(request.payload, &self.config);
        let operation_id = check.operation_id(request.operation_id);
        let (channel, publication, durability) = check.finish(|| {
            let publication = Publication {
                payload: payload?,
                operation_id: operation_id?,
            };
            Some((channel?, publication, durability?))
        })?;
        let call = call.durable(durability);
        let point = self.events.publish(&channel, &publication, call).await?;
        let id = point.to_text();
        Ok(v1::PublishResponse { id })
    }

    fn open(&self, request: v1::SubscribeRequest) -> Result<Subscription, Refusal> {
        let mut check = self.checker();
        let tenant = check.tenant(&request.tenant);
        let channels = check.subscription(&request.channels, request.resume_after);
        let (tenant, channels) = check.finish(|| Some((tenant?, channels?)))?;
        Ok(self.events.subscribe(&tenant, channels)?)
    }
}

#[tonic::async_trait]
impl v1::events_server::Events for EventsService {
    type SubscribeStream = BoxStream<v1::SubscribeResponse>;

    async fn publish(
        &self,
        request: Request<v1::PublishRequest>,
    ) -> Result<Response<v1::PublishResponse>, Status> {
        let began = Instant::now();
        let result = self.append(request).await;
        let result = result.map(|answer| (answer, Outcome::Done));
        self.metrics.count(Method::Publish, began, result)
    }

    async fn subscribe(
        &self,
        request: Request<v1::SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let began = Instant::now();
        let result = self.open(request.into_inner());
        let result = result.map(|subscription| (subscription, Outcome::Done));
        let subscription = self.metrics.count(Method::Subscribe, began, result)?;
        let subscription = subscription.into_inner();
        Ok(Response::new(answers(subscription, self.stop.clone())))
    }
}

impl Source for Subscription {
    type Answer = v1::SubscribeResponse;

    async fn next(&mut self) -> Result<Self::Answer, Fault> {
        self.next().await.map(response)
    }
}

fn response(delivery: Delivery) -> v1::SubscribeResponse {
    let kind = match delivery {
        Delivery::Started(channel, point) => Kind::Started(answer::Started {
            channel: channel.as_str().to_owned(),
            id: point.to_text(),
        }),
        Delivery::Message(channel, point, Message { payload, published }) => {
            Kind::Message(answer::Message {
                channel: channel.as_str().to_owned(),
                id: point.to_text(),
                payload,
                published: Some(timestamp(published)),
            })
        }
        Delivery::Gap(channel, after, gap) => Kind::Gap(answer::Gap {
            channel: channel.as_str().to_owned(),
            after: after.to_text(),
            reason: reason(gap).into(),
        }),
    };
    v1::SubscribeResponse { kind: Some(kind) }
}

fn reason(gap: Gap) -> answer::gap::Reason {
    match gap {
        Gap::Forgotten => answer::gap::Reason::Forgotten,
        Gap::HistoryChanged => answer::gap::Reason::HistoryChanged,
    }
}
