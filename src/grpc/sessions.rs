//! The service `vedetta.v1.Sessions`: check, call, convert.
//!
//! Invariants: where sessions are switched off every call says so, whatever else is wrong with it.
//!
//! Not here: what the calls mean (`crate::sessions`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use tonic::{Request, Response, Status};

use crate::config::Limits;
use crate::model::Tenant;
use crate::proto::v1;
use crate::proto::v1::sessions_server;
use crate::sessions::{Create, Loaded, Session, SessionId, Sessions, Store};

use super::check::Checker;
use super::check_sessions::NoCache;
use super::convert::{self, duration, timestamp};
use super::metrics::{Method, Metrics, Outcome};
use super::request::{Answer, open};
use super::status::Refusal;

/// Serves sessions over some store.
#[derive(Debug)]
pub struct SessionsService<S> {
    sessions: Arc<Sessions<S>>,
    limits: Limits,
    max_inactive: Duration,
    metrics: Arc<Metrics>,
}

impl<S: Store> SessionsService<S> {
    /// Serves these sessions within these limits; one whose creator does not say lives for `max_inactive`.
    pub fn new(
        sessions: Arc<Sessions<S>>,
        limits: Limits,
        max_inactive: Duration,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            sessions,
            limits,
            max_inactive,
            metrics,
        }
    }

    fn checker(&self) -> Result<Checker<'_, NoCache>, Refusal> {
        self.sessions.admit()?;
        Ok(Checker::without_caches(&self.limits))
    }

    async fn do_create(
        &self,
        request: Request<v1::CreateSessionRequest>,
    ) -> Answer<v1::CreateSessionResponse> {
        let (call, request) = open(request);
        let mut check = self.checker()?;
        let tenant = check.tenant(&request.tenant);
        let attributes = check.attributes("attributes", request.attributes);
        let attributes = attributes.and_then(|found| check.new_session(found));
        let principal = check.principal(&request.principal);
        let max_inactive = check.max_inactive(request.max_inactive);
        let operation_id = check.operation_id(request.operation_id);
        let durability = check.durability(request.durability);
        let (tenant, create, durability) = check.finish(|| {
            let create = Create {
                attributes: attributes?,
                principal: principal?,
                max_inactive: max_inactive?.unwrap_or(self.max_inactive),
                operation_id: operation_id?,
            };
            Some((tenant?, create, durability?))
        })?;
        let call = call.durable(durability);
        let created = self.sessions.create(call, &tenant, create).await;
        let answer = v1::CreateSessionResponse {
            session: Some(session(created?)),
        };
        Ok((answer, Outcome::Done))
    }

    async fn do_load(
        &self,
        request: Request<v1::LoadSessionRequest>,
    ) -> Answer<v1::LoadSessionResponse> {
        let (call, request) = open(request);
        let (tenant, id) = self.named(&request.tenant, &request.id)?;
        let loaded = self.sessions.load(call, &tenant, &id).await;
        let Loaded {
            session: found,
            evidence,
        } = loaded?;
        let outcome = found.as_ref().map_or(Outcome::Miss, |_| Outcome::Hit);
        let answer = v1::LoadSessionResponse {
            session: found.map(session),
            freshness: convert::freshness(evidence.freshness),
            age_bound: Some(duration(evidence.age_bound)),
        };
        Ok((answer, outcome))
    }

    async fn do_save(
        &self,
        request: Request<v1::SaveSessionRequest>,
    ) -> Answer<v1::SaveSessionResponse> {
        let (call, request) = open(request);
        let mut check = self.checker()?;
        let durability = check.durability(request.durability);
        let tenant = check.tenant(&request.tenant);
        let id = check.session_id(&request.id);
        let save = check.save(
            request.set,
            request.remove,
            request.principal,
            request.max_inactive,
        );
        let (tenant, id, save, durability) =
            check.finish(|| Some((tenant?, id?, save?, durability?)))?;
        let call = call.durable(durability);
        let saved = self.sessions.save(call, &tenant, &id, save).await;
        let existed = saved?;
        let outcome = existing(existed, Outcome::Stored);
        Ok((v1::SaveSessionResponse { existed }, outcome))
    }

    async fn do_touch(
        &self,
        request: Request<v1::TouchSessionRequest>,
    ) -> Answer<v1::TouchSessionResponse> {
        let (call, request) = open(request);
        let (tenant, id) = self.named(&request.tenant, &request.id)?;
        let touched = self.sessions.touch(call, &tenant, &id).await;
        let existed = touched?;
        let outcome = existing(existed, Outcome::Touched);
        Ok((v1::TouchSessionResponse { existed }, outcome))
    }

    async fn do_change_id(
        &self,
        request: Request<v1::ChangeSessionIdRequest>,
    ) -> Answer<v1::ChangeSessionIdResponse> {
        let (call, request) = open(request);
        let mut check = self.checker()?;
        let durability = check.durability(request.durability);
        let tenant = check.tenant(&request.tenant);
        let id = check.session_id(&request.id);
        let operation = check.operation_id(request.operation_id);
        let (tenant, id, operation, durability) =
            check.finish(|| Some((tenant?, id?, operation?, durability?)))?;
        let call = call.durable(durability);
        let changed = self.sessions.change_id(call, &tenant, &id, &operation);
        let id = changed.await?;
        let outcome = existing(id.is_some(), Outcome::Done);
        let id = id.map_or_else(String::new, |id| id.as_str().to_owned());
        Ok((v1::ChangeSessionIdResponse { id }, outcome))
    }

    async fn do_delete(
        &self,
        request: Request<v1::DeleteSessionRequest>,
    ) -> Answer<v1::DeleteSessionResponse> {
        let (call, request) = open(request);
        let mut check = self.checker()?;
        let durability = check.durability(request.durability);
        let tenant = check.tenant(&request.tenant);
        let id = check.session_id(&request.id);
        let (tenant, id, durability) = check.finish(|| Some((tenant?, id?, durability?)))?;
        let call = call.durable(durability);
        let deleted = self.sessions.delete(call, &tenant, &id).await;
        let existed = deleted?;
        let outcome = existing(existed, Outcome::Done);
        Ok((v1::DeleteSessionResponse { existed }, outcome))
    }

    async fn do_find(
        &self,
        request: Request<v1::FindByPrincipalRequest>,
    ) -> Answer<v1::FindByPrincipalResponse> {
        let (call, request) = open(request);
        let mut check = self.checker()?;
        let tenant = check.tenant(&request.tenant);
        let principal = check.somebody(&request.principal);
        let (tenant, principal) = check.finish(|| Some((tenant?, principal?)))?;
        let found = self.sessions.find(call, &tenant, &principal).await;
        let found = found?;
        let ids = found.ids.iter().map(|id| id.as_str().to_owned());
        let answer = v1::FindByPrincipalResponse {
            ids: ids.collect(),
            total: found.total,
        };
        Ok((answer, Outcome::Done))
    }

    /// The parts that name one session.
    fn named(&self, tenant: &str, id: &str) -> Result<(Tenant, SessionId), Refusal> {
        let mut check = self.checker()?;
        let tenant = check.tenant(tenant);
        let id = check.session_id(id);
        check.finish(|| Some((tenant?, id?)))
    }
}

fn existing(existed: bool, outcome: Outcome) -> Outcome {
    if existed { outcome } else { Outcome::Absent }
}

fn session(session: Session) -> v1::Session {
    v1::Session {
        id: session.id.as_str().to_owned(),
        attributes: session.attributes.into_iter().collect(),
        principal: session.principal.as_str().to_owned(),
        created: Some(timestamp(session.created)),
        last_accessed: Some(timestamp(session.accessed)),
        max_inactive: Some(duration(session.max_inactive)),
    }
}

/// The whole trait, because `async_trait` does not look into macros: each rpc is measured and done by the method of the
/// same meaning above.
macro_rules! sessions_service {
    ($($rpc:ident => $work:ident, $method:ident, $request:ident, $response:ident;)+) => {
        #[tonic::async_trait]
        impl<S: Store> sessions_server::Sessions for SessionsService<S> {
            $(async fn $rpc(
                &self,
                request: Request<v1::$request>,
            ) -> Result<Response<v1::$response>, Status> {
                let began = Instant::now();
                let result = self.$work(request).await;
                self.metrics.count(Method::$method, began, result)
            })+
        }
    };
}

sessions_service! {
    create => do_create, SessionCreate, CreateSessionRequest, CreateSessionResponse;
    load => do_load, SessionLoad, LoadSessionRequest, LoadSessionResponse;
    save => do_save, SessionSave, SaveSessionRequest, SaveSessionResponse;
    touch => do_touch, SessionTouch, TouchSessionRequest, TouchSessionResponse;
    change_id => do_change_id, SessionChangeId, ChangeSessionIdRequest, ChangeSessionIdResponse;
    delete => do_delete, SessionDelete, DeleteSessionRequest, DeleteSessionResponse;
    find_by_principal => do_find, SessionFind, FindByPrincipalRequest, FindByPrincipalResponse;
}
