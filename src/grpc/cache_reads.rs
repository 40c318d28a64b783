//! The calls of `vedetta.v1.Cache` that read.
//!
//! Not here: what all calls of that service have (`cache`); streams of entries (`bulk`).

use bytes::Bytes;

use crate::cache::{Call, Store};
use crate::model::{Address, Consistency};
use crate::proto::v1;

use super::cache::CacheService;
use super::convert;
use super::metrics::Outcome;
use super::request::Answer;
use super::status::Refusal;

/// What a Get asks for, checked and let in.
pub(super) struct Wanted {
    address: Address,
    consistency: Consistency,
    /// The version that the caller has.
    known: Bytes,
}

/// What came of a Get so far.
pub(super) enum Got {
    /// The answer was at hand.
    Answer(v1::GetResponse, Outcome),
    /// It has to be looked for.
    Wanted(Wanted),
}

impl<S: Store> CacheService<S> {
    pub(super) async fn do_get(
        &self,
        call: Call,
        request: v1::GetRequest,
    ) -> Answer<v1::GetResponse> {
        match self.get_at_hand(call, request)? {
            Got::Answer(answer, outcome) => Ok((answer, outcome)),
            // Apart: an answer that is at hand should not carry room for it.
            Got::Wanted(wanted) => Box::pin(self.get_wanted(call, wanted)).await,
        }
    }

    /// Answers a Get where that needs no waiting.
    pub(super) fn get_at_hand(&self, call: Call, request: v1::GetRequest) -> Result<Got, Refusal> {
        let mut check = self.checker();
        let consistency = check.consistency(request.consistency);
        let cache = check.cache(&request.tenant, &request.cache);
        let key = check.key("key", request.key);
        let (address, consistency) = check.finish(|| {
            let address = Address {
                cache: cache?,
                key: key?,
            };
            Some((address, consistency?))
        })?;
        let known = request.not_modified_if;
        let found = self.cache.at_hand(call, &address, consistency)?;
        Ok(match found {
            Some(lookup) => {
                let (answer, outcome) = convert::get(lookup, &known);
                Got::Answer(answer, outcome)
            }
            None => Got::Wanted(Wanted {
                address,
                consistency,
                known,
            }),
        })
    }

    /// Answers a Get whose answer was not at hand.
    pub(super) async fn get_wanted(&self, call: Call, wanted: Wanted) -> Answer<v1::GetResponse> {
        let Wanted {
            address,
            consistency,
            known,
        } = wanted;
        let lookup = self.cache.look(call, &address, consistency).await?;
        Ok(convert::get(lookup, &known))
    }

    pub(super) async fn do_get_many(
        &self,
        call: Call,
        request: v1::GetManyRequest,
    ) -> Answer<v1::GetManyResponse> {
        let mut check = self.checker();
        let consistency = check.consistency(request.consistency);
        let cache = check.cache(&request.tenant, &request.cache);
        let keys = check.keys(request.keys);
        let (cache, keys, consistency) = check.finish(|| Some((cache?, keys?, consistency?)))?;
        let items = self
            .cache
            .get_many(call, &cache, &keys, consistency)
            .await?;
        let items = items.into_iter().map(convert::get_item).collect();
        Ok((v1::GetManyResponse { items }, Outcome::Batch))
    }

    pub(super) async fn do_get_ttl(
        &self,
        call: Call,
        request: v1::GetTtlRequest,
    ) -> Answer<v1::GetTtlResponse> {
        let check = self.checker();
        let address = self.address(check, &request.tenant, &request.cache, request.key)?;
        let ttl = self.cache.ttl(call, &address).await?;
        Ok(convert::ttl(ttl))
    }
}
