//! Calls any rpc by name, with messages that only the descriptors know.
//!
//! Invariants: uses nothing of the crate under test but the descriptors that its build compiled. Of a stream, one
//! message is sent and the first answer counts, or several are sent and all answers are returned.
//!
//! Not here: what to send and what to expect (`notation`, `compare`, `error`).

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::stream;
use prost_reflect::prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, MethodDescriptor};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder, Streaming};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/vedetta.v1.bin"));
const PACKAGE: &str = "vedetta.v1";
const DEADLINE: Duration = Duration::from_secs(10);

/// Everything that can be called.
pub(crate) struct Api(DescriptorPool);

impl Api {
    /// The protos of this repository, health and reflection.
    pub(crate) fn load() -> Self {
        let mut pool = DescriptorPool::decode(DESCRIPTORS).expect("our descriptors");
        for standard in [
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ] {
            pool.decode_file_descriptor_set(standard)
                .expect("descriptors of a standard service");
        }
        Self(pool)
    }

    /// `package.Service/Rpc` for every rpc of a package, sorted.
    pub(crate) fn rpcs_of(&self, package: &str) -> Vec<String> {
        let services = self.0.services().filter(|s| s.package_name() == package);
        let mut names: Vec<String> = services
            .flat_map(|service| {
                let name = |m: MethodDescriptor| format!("{}/{}", service.full_name(), m.name());
                service.methods().map(name).collect::<Vec<_>>()
            })
            .collect();
        names.sort_unstable();
        names
    }

    /// The rpc that the table calls `Service/Rpc`.
    ///
    /// # Panics
    /// When there is none.
    pub(crate) fn method(&self, call: &str) -> MethodDescriptor {
        let found = call.split_once('/').and_then(|(service, rpc)| {
            let service = if service.contains('.') {
                service.to_owned()
            } else {
                format!("{PACKAGE}.{service}")
            };
            let service = self.0.get_service_by_name(&service)?;
            service.methods().find(|method| method.name() == rpc)
        });
        found.unwrap_or_else(|| panic!("the table is wrong: there is no rpc {call:?}"))
    }
}

/// One server.
pub(crate) struct Client {
    api: Api,
    channel: Channel,
}

impl Client {
    /// Connects to `http://host:port` or `unix:/path`.
    pub(crate) async fn connect(api: Api, address: &str) -> Self {
        let endpoint = Endpoint::from_shared(address.to_owned()).expect("an address");
        let channel = endpoint
            .connect()
            .await
            .unwrap_or_else(|error| panic!("{address}: {error:?}"));
        Self { api, channel }
    }

    /// The rpc that the table calls `Service/Rpc`.
    pub(crate) fn method(&self, call: &str) -> MethodDescriptor {
        self.api.method(call)
    }

    /// The (first) answer; without a request, an empty one is sent.
    ///
    /// # Errors
    /// As the server answered.
    ///
    /// # Panics
    /// When there is no answer at all.
    pub(crate) async fn call(
        &self,
        call: &str,
        request: Option<DynamicMessage>,
    ) -> Result<DynamicMessage, Status> {
        let method = self.api.method(call);
        let request = request.unwrap_or_else(|| DynamicMessage::new(method.input()));
        self.bounded(call, self.exchange(&method, request)).await
    }

    /// All answers to a stream of messages.
    ///
    /// # Errors
    /// As the server answered.
    ///
    /// # Panics
    /// When the rpc does not have streams both ways.
    pub(crate) async fn converse(
        &self,
        call: &str,
        messages: Vec<DynamicMessage>,
    ) -> Result<Vec<DynamicMessage>, Status> {
        let method = self.api.method(call);
        let both = method.is_client_streaming() && method.is_server_streaming();
        assert!(both, "the table is wrong: {call} takes one message");
        self.bounded(call, async {
            let (mut grpc, path) = self.open(&method).await?;
            let messages = Request::new(stream::iter(messages));
            let answers = grpc
                .streaming(messages, path, Dynamic(method.output()))
                .await?;
            all(answers.into_inner()).await
        })
        .await
    }

    async fn bounded<T>(
        &self,
        call: &str,
        exchange: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        tokio::time::timeout(DEADLINE, exchange)
            .await
            .unwrap_or_else(|_| panic!("{call}: no answer within {DEADLINE:?}"))
    }

    async fn open(
        &self,
        method: &MethodDescriptor,
    ) -> Result<(Grpc<Channel>, PathAndQuery), Status> {
        let mut grpc = Grpc::new(self.channel.clone())
            .max_decoding_message_size(usize::MAX)
            .max_encoding_message_size(usize::MAX);
        grpc.ready()
            .await
            .map_err(|error| Status::unknown(format!("connection lost: {error}")))?;
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        Ok((grpc, PathAndQuery::try_from(path).expect("a path")))
    }

    async fn exchange(
        &self,
        method: &MethodDescriptor,
        request: DynamicMessage,
    ) -> Result<DynamicMessage, Status> {
        let (mut grpc, path) = self.open(method).await?;
        let codec = Dynamic(method.output());
        let many = |message| Request::new(stream::iter([message]));
        match (method.is_client_streaming(), method.is_server_streaming()) {
            (false, false) => grpc
                .unary(Request::new(request), path, codec)
                .await
                .map(tonic::Response::into_inner),
            (true, false) => grpc
                .client_streaming(many(request), path, codec)
                .await
                .map(tonic::Response::into_inner),
            (false, true) => {
                let answer = grpc.server_streaming(Request::new(request), path, codec);
                first(answer.await?.into_inner()).await
            }
            (true, true) => {
                let answer = grpc.streaming(many(request), path, codec);
                first(answer.await?.into_inner()).await
            }
        }
    }
}

async fn first(mut answers: Streaming<DynamicMessage>) -> Result<DynamicMessage, Status> {
    let answer = answers.message().await?;
    Ok(answer.unwrap_or_else(|| panic!("the stream ended without an answer")))
}

async fn all(mut answers: Streaming<DynamicMessage>) -> Result<Vec<DynamicMessage>, Status> {
    let mut all = Vec::new();
    while let Some(answer) = answers.message().await? {
        all.push(answer);
    }
    Ok(all)
}

/// Name and flag of every element of a repeated field.
pub(crate) fn flags(
    message: &DynamicMessage,
    list: &str,
    name: &str,
    flag: &str,
) -> BTreeMap<String, bool> {
    let list = message.get_field_by_name(list).expect("a field");
    let elements = list.as_list().expect("a repeated field");
    let pair = |element: &prost_reflect::Value| {
        let element = element.as_message()?;
        let name = element.get_field_by_name(name)?.as_str()?.to_owned();
        Some((name, element.get_field_by_name(flag)?.as_bool()?))
    };
    elements.iter().filter_map(pair).collect()
}

/// A codec for messages that only a descriptor knows; the descriptor is the one of the answer.
struct Dynamic(MessageDescriptor);

struct DynamicEncoder;

struct DynamicDecoder(MessageDescriptor);

impl Codec for Dynamic {
    type Encode = DynamicMessage;
    type Decode = DynamicMessage;
    type Encoder = DynamicEncoder;
    type Decoder = DynamicDecoder;

    fn encoder(&mut self) -> DynamicEncoder {
        DynamicEncoder
    }

    fn decoder(&mut self) -> DynamicDecoder {
        DynamicDecoder(self.0.clone())
    }
}

impl Encoder for DynamicEncoder {
    type Item = DynamicMessage;
    type Error = Status;

    fn encode(&mut self, item: DynamicMessage, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(buffer)
            .map_err(|error| Status::internal(error.to_string()))
    }
}

impl Decoder for DynamicDecoder {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
        DynamicMessage::decode(self.0.clone(), buffer)
            .map(Some)
            .map_err(|error| Status::internal(error.to_string()))
    }
}
