//! The store on the current Redis master.
//!
//! A script must declare the index of the session's principal, which only the session knows. So a call names the
//! principal that the session had when this process last saw it (`owners`); the script compares in the same atomic
//! step, and tells the right one for another attempt. A wrong memory costs a round trip and nothing else.
//!
//! Invariants: reads and writes go to the master on the tracked session and never to a copy. Redis therefore pushes
//! once when a session changes that was read here; it is nobody's entry, and nothing follows (`invalidation::intake`).
//! Every script may be sent twice: ids are made once per call, before the first attempt.
//!
//! Not here: sending a call until it is answered (`failover`); undoing on a new master what the loss of writes brought
//! back, which is done for caches only: there is no source that a session could be read from anew.

mod reply;
mod scripts;

use std::sync::Arc;

use bytes::Bytes;
use quick_cache::sync::Cache;

use crate::call::Call;
use crate::clock;
use crate::failover::{Passage, Patience, Repeat};
use crate::model::{Cause, Durability, Evidence, Fault, Moment, Tenant};
use crate::upstream::{Batch, Effect, Operation, Reply, Script, Session as Link, Witnesses};

use super::layout::Layout;
use super::session::{Bounds, Create, Principal, Save, Session, SessionId, millis};
use super::store::{Found, Loaded, Store};
use reply::{Verdict, created, found, read, strange, verdict};
use scripts::Scripts;

/// Sessions whose principal is remembered.
const OWNERS: usize = 10_000;

/// How often a call is sent because the session has got another principal in between.
const ATTEMPTS: usize = 8;

/// What may be said of an answer of the session of that generation, which was asked at that time.
pub type Judge = Arc<dyn Fn(u64, Moment) -> Evidence + Send + Sync>;

/// What the store needs.
pub struct Serving {
    /// How calls get to the master.
    pub passage: Passage,
    /// Who waits for replicas.
    pub witnesses: Witnesses,
    /// Stands before every key.
    pub prefix: String,
    /// How large a session may be.
    pub bounds: Bounds,
    /// What is proven about an answer.
    pub judge: Judge,
}

/// Keeps sessions in Redis.
pub struct Remote {
    serving: Serving,
    layout: Layout,
    scripts: Scripts,
    /// By the key of the session.
    owners: Cache<Bytes, Principal>,
}

/// A script about one session, with what does not depend on its principal.
struct Change<'a> {
    script: &'a Script,
    tenant: &'a Tenant,
    id: &'a SessionId,
    call: Call,
    weight: u64,
}

impl Remote {
    /// On whatever master the passage leads to.
    pub fn new(serving: Serving) -> Self {
        Self {
            layout: Layout::new(&serving.prefix),
            scripts: Scripts::new(),
            owners: Cache::new(OWNERS),
            serving,
        }
    }

    fn patience(&self, call: Call, weight: u64) -> Patience {
        Patience {
            to_all: call.durability().is_all(),
            ..self.serving.passage.patience(call.deadline(), weight)
        }
    }

    /// Sends one script that writes; tells its answer and how many replicas are attached.
    async fn send(
        &self,
        link: &Arc<Link>,
        script: &Script,
        (keys, arguments): (Vec<Bytes>, Vec<Bytes>),
        durability: Durability,
    ) -> Result<(Reply, usize), Fault> {
        let mut batch = Batch::new(Operation::Session, Effect::Write);
        batch.answered_at_length();
        batch.script(script, &keys, &arguments);
        if durability != Durability::Async {
            batch.with_offset();
        }
        let mut replies = link.execute(batch).await?.into_iter();
        let answer = replies.next().unwrap_or(Reply::Nil);
        let attached = replies.next().map_or(0, |role| role.replicas_of_role());
        Ok((answer, attached))
    }

    async fn secure(
        &self,
        link: &Arc<Link>,
        durability: Durability,
        attached: usize,
    ) -> Result<(), Fault> {
        let known = self.serving.passage.replicas().unwrap_or(0);
        let witnesses = &self.serving.witnesses;
        witnesses
            .secure(link, durability, known.max(attached))
            .await
    }

    /// Sends a change until it is answered; `None` if there is no such session. `request` makes keys and arguments for
    /// the principal that the session is thought to have.
    async fn change(
        &self,
        change: Change<'_>,
        request: impl Fn(&Principal) -> (Vec<Bytes>, Vec<Bytes>) + Sync,
    ) -> Result<Option<Vec<Reply>>, Fault> {
        let key = self.layout.session(change.tenant, change.id);
        let (change, key, request) = (&change, &key, &request);
        let attempt = |link: Arc<Link>| async move {
            for _ in 0..ATTEMPTS {
                let owner = self.owners.get(key).unwrap_or_else(Principal::nobody);
                let durability = change.call.durability();
                let sent = self.send(&link, change.script, request(&owner), durability);
                let (answer, attached) = sent.await?;
                match verdict(answer, self.serving.bounds)? {
                    Verdict::Absent => return Ok(None),
                    Verdict::Belongs(principal) => self.owners.insert(key.clone(), principal),
                    Verdict::Done(rest) => {
                        self.secure(&link, durability, attached).await?;
                        return Ok(Some(rest));
                    }
                }
            }
            let detail = "the session gets other principals faster than it can be followed";
            Err(Fault::not_applied(Cause::Overloaded, detail))
        };
        let patience = self.patience(change.call, change.weight);
        let passage = &self.serving.passage;
        passage.persist(patience, Repeat::Harmless, attempt).await
    }

    /// The key of the session, and of the index of its principal if it has one.
    fn keys(&self, tenant: &Tenant, id: &SessionId, owner: &Principal) -> Vec<Bytes> {
        let mut keys = vec![self.layout.session(tenant, id)];
        if !owner.is_nobody() {
            keys.push(self.layout.principal(tenant, owner));
        }
        keys
    }

    async fn create_once(
        &self,
        link: Arc<Link>,
        request: (Vec<Bytes>, Vec<Bytes>),
        durability: Durability,
    ) -> Result<Vec<Reply>, Fault> {
        let sent = self.send(&link, &self.scripts.create, request, durability);
        let (answer, attached) = sent.await?;
        let Verdict::Done(rest) = verdict(answer, self.serving.bounds)? else {
            return Err(strange());
        };
        self.secure(&link, durability, attached).await?;
        Ok(rest)
    }
}

impl Store for Remote {
    async fn create(&self, tenant: &Tenant, create: Create, call: Call) -> Result<Session, Fault> {
        let id = SessionId::new()?;
        let mut keys = self.keys(tenant, &id, &create.principal);
        let kept = self.remembered(&create.operation_id);
        if !kept.is_empty() {
            let name = &create.operation_id;
            keys.push(self.layout.operation(tenant, None, name));
        }
        let max_inactive = millis(create.max_inactive).to_string().into();
        let mut arguments = vec![
            text(id.as_str()),
            text(create.principal.as_str()),
            max_inactive,
        ];
        arguments.push(kept);
        for (name, value) in &create.attributes {
            arguments.extend([text(name), value.clone()]);
        }
        let request = &(keys, arguments);
        let attempt = |link| self.create_once(link, request.clone(), call.durability());
        let patience = self.patience(call, create.weight());
        let passage = &self.serving.passage;
        let answer = passage.persist(patience, Repeat::Harmless, attempt).await?;
        let (id, created) = created(&answer).ok_or_else(strange)?;
        let key = self.layout.session(tenant, &id);
        self.owners.insert(key, create.principal.clone());
        Ok(Session {
            id,
            attributes: create.attributes,
            principal: create.principal,
            created,
            accessed: created,
            max_inactive: create.max_inactive,
        })
    }

    async fn load(&self, tenant: &Tenant, id: &SessionId, call: Call) -> Result<Loaded, Fault> {
        let key = &self.layout.session(tenant, id);
        let attempt = |link: Arc<Link>| async move {
            let mut batch = Batch::new(Operation::Session, Effect::Read);
            batch.command("HGETALL", &[key]);
            let asked = clock::now();
            let answer = link.execute(batch).await?.into_iter().next();
            let session = read(id, answer.unwrap_or(Reply::Nil))?;
            let evidence = (self.serving.judge)(link.generation(), asked);
            Ok(Loaded { session, evidence })
        };
        let patience = self.patience(call, 0);
        let loaded = self.serving.passage.retrieve(patience, attempt).await?;
        if let Some(session) = &loaded.session {
            self.owners.insert(key.clone(), session.principal.clone());
        }
        Ok(loaded)
    }

    async fn save(
        &self,
        tenant: &Tenant,
        id: &SessionId,
        save: Save,
        call: Call,
    ) -> Result<bool, Fault> {
        let change = Change {
            script: &self.scripts.save,
            tenant,
            id,
            call,
            weight: save.weight(),
        };
        let Bounds { attributes, bytes } = self.serving.bounds;
        let bounds = [attributes, bytes].map(|bound| Bytes::from(bound.to_string()));
        let life = save.max_inactive.map(|life| millis(life).to_string());
        let request = |owner: &Principal| {
            let mut keys = self.keys(tenant, id, owner);
            let principal = save.principal.as_ref().unwrap_or(owner);
            if principal != owner && !principal.is_nobody() {
                keys.push(self.layout.principal(tenant, principal));
            }
            let mut arguments = vec![text(id.as_str()), text(owner.as_str())];
            arguments.push(text(principal.as_str()));
            arguments.push(life.clone().unwrap_or_default().into());
            arguments.extend(bounds.clone());
            arguments.push(save.set.len().to_string().into());
            for (name, value) in &save.set {
                arguments.extend([text(name), value.clone()]);
            }
            arguments.extend(save.remove.iter().map(|name| text(name)));
            (keys, arguments)
        };
        let saved = self.change(change, request).await?;
        if let (Some(_), Some(principal)) = (&saved, save.principal) {
            self.owners
                .insert(self.layout.session(tenant, id), principal);
        }
        Ok(saved.is_some())
    }

    async fn touch(&self, tenant: &Tenant, id: &SessionId, call: Call) -> Result<bool, Fault> {
        let touched = self.plain(&self.scripts.touch, tenant, id, call).await?;
        Ok(touched)
    }

    async fn change_id(
        &self,
        tenant: &Tenant,
        id: &SessionId,
        operation_id: &[u8],
        call: Call,
    ) -> Result<Option<SessionId>, Fault> {
        let new = SessionId::new()?;
        let kept = self.remembered(operation_id);
        let change = Change {
            script: &self.scripts.change_id,
            tenant,
            id,
            call,
            weight: 0,
        };
        let request = |owner: &Principal| {
            let mut keys = self.keys(tenant, id, owner);
            keys.insert(1, self.layout.session(tenant, &new));
            if !kept.is_empty() {
                keys.push(self.layout.operation(tenant, Some(id), operation_id));
            }
            let names = [id.as_str(), owner.as_str(), new.as_str()].map(text);
            (keys, names.into_iter().chain([kept.clone()]).collect())
        };
        let Some(answer) = self.change(change, request).await? else {
            return Ok(None);
        };
        let new = reply::id(answer.first()).ok_or_else(strange)?;
        if let Some((_, owner)) = self.owners.remove(&self.layout.session(tenant, id)) {
            self.owners.insert(self.layout.session(tenant, &new), owner);
        }
        Ok(Some(new))
    }

    async fn delete(&self, tenant: &Tenant, id: &SessionId, call: Call) -> Result<bool, Fault> {
        let existed = self.plain(&self.scripts.delete, tenant, id, call).await?;
        self.owners.remove(&self.layout.session(tenant, id));
        Ok(existed)
    }

    async fn find(
        &self,
        tenant: &Tenant,
        principal: &Principal,
        most: usize,
        call: Call,
    ) -> Result<Found, Fault> {
        let (key, most) = (&self.layout.principal(tenant, principal), &most.to_string());
        let attempt = |link: Arc<Link>| async move {
            let mut batch = Batch::new(Operation::Session, Effect::Read);
            let (keys, arguments) = ([key.clone()], [text(most)]);
            batch.script(&self.scripts.find, &keys, &arguments);
            let answer = link.execute(batch).await?.into_iter().next();
            found(answer.unwrap_or(Reply::Nil))
        };
        let patience = self.patience(call, 0);
        self.serving.passage.retrieve(patience, attempt).await
    }
}

impl Remote {
    /// For how long an operation of that id is remembered, in milliseconds; nothing without an id.
    fn remembered(&self, operation_id: &[u8]) -> Bytes {
        if operation_id.is_empty() {
            return Bytes::new();
        }
        let kept = self.serving.passage.remembered();
        kept.as_millis().to_string().into()
    }

    /// A change that has no arguments but the session.
    async fn plain(
        &self,
        script: &Script,
        tenant: &Tenant,
        id: &SessionId,
        call: Call,
    ) -> Result<bool, Fault> {
        let change = Change {
            script,
            tenant,
            id,
            call,
            weight: 0,
        };
        let request = |owner: &Principal| {
            let names = [id.as_str(), owner.as_str()].map(text);
            (self.keys(tenant, id, owner), names.into())
        };
        Ok(self.change(change, request).await?.is_some())
    }
}

fn text(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}
