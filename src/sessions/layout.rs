//! Where sessions are in Redis.
//!
//! Not here: what is in the keys (`remote/scripts/session.lua`, `docs/storage.md`).

use bytes::Bytes;

use crate::model::{Tenant, hex, own_key};

use super::session::{Principal, SessionId};

/// Names keys.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    prefix: String,
}

impl Layout {
    /// With the prefix of this application; empty for none.
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
        }
    }

    /// The key of a session.
    pub(super) fn session(&self, tenant: &Tenant, id: &SessionId) -> Bytes {
        own_key("session", &[&self.prefix, tenant.as_str(), id.as_str()])
    }

    /// The key of the index of a principal.
    pub(super) fn principal(&self, tenant: &Tenant, principal: &Principal) -> Bytes {
        let parts = [&self.prefix, tenant.as_str(), principal.as_str()];
        own_key("principal", &parts)
    }

    /// The key under which a call is remembered; of one about a session, under the id that it was called with.
    pub(super) fn operation(&self, tenant: &Tenant, id: Option<&SessionId>, name: &[u8]) -> Bytes {
        let session = id.map_or("", SessionId::as_str);
        own_key(
            "session-op",
            &[&self.prefix, tenant.as_str(), &hex(name), session],
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_and_prefixes_never_share_a_key() {
        let tenant = |name: &str| Tenant::new(name).expect("tenant");
        let id = |text: &str| SessionId::from_caller(text).expect("id");
        let layout = Layout::new("app");
        assert_eq!(
            layout.session(&tenant("t:1"), &id("x")),
            "vedetta:session:app:t%3A1:x"
        );
        let bare = Layout::new("");
        assert_eq!(
            bare.session(&Tenant::primary(), &id("x")),
            "vedetta:session:::x"
        );
        let ada = Principal::from_caller("ada:b").expect("principal");
        assert_eq!(
            bare.principal(&tenant("t"), &ada),
            "vedetta:principal::t:ada%3Ab"
        );
        let create = bare.operation(&tenant("t"), None, b"\x01\xff");
        assert_eq!(create, "vedetta:session-op::t:01ff:");
        let change = bare.operation(&tenant("t"), Some(&id("x")), b"\x01\xff");
        assert_eq!(change, "vedetta:session-op::t:01ff:x");
    }
}
