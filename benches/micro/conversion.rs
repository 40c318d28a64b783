//! From a request to the checked call and from the outcome to the answer.
//!
//! The floor is the call itself on the cache, without protobuf. `message` adds the check, the conversion of the outcome
//! and the metrics; `frame` adds what tonic does with bytes: decoding, encoding, headers and trailers. So `message` less
//! the floor is the conversion, and `frame` less `message` is tonic without its connection.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use tonic::Request;
use vedetta::cache::Call;
use vedetta::model::{Address, Consistency};
use vedetta::proto::v1;
use vedetta::proto::v1::cache_server::Cache as _;

use crate::copies::{addresses, value};
use crate::stand::{Server, Service, at_once, frame, get_request};
use crate::{SIZES, stand, turns};

pub(crate) fn get(criterion: &mut Criterion) {
    let addresses = addresses();
    let requests: Vec<_> = addresses.iter().map(get_request).collect();
    let frames: Vec<Bytes> = requests.iter().map(frame).collect();
    let mut group = criterion.benchmark_group("conversion_get");
    group.throughput(Throughput::Elements(1));
    for size in SIZES {
        let service = Service::filled(&addresses, &value(size));
        let mut server = Server::new(service.service.clone());
        let mut turn = turns();
        group.bench_function(BenchmarkId::new("floor", size), |bencher| {
            bencher.iter(|| {
                let fresh = Consistency::Fresh(None);
                let found = service
                    .cache
                    .get(Call::until(None), &addresses[turn()], fresh);
                black_box(at_once(found))
            });
        });
        group.bench_function(BenchmarkId::new("message", size), |bencher| {
            bencher.iter(|| {
                let request = Request::new(requests[turn()].clone());
                black_box(at_once(service.service.get(request)))
            });
        });
        group.bench_function(BenchmarkId::new("frame", size), |bencher| {
            bencher.iter(|| {
                let frame = frames[turn()].clone();
                black_box(server.call("/vedetta.v1.Cache/Get", frame))
            });
        });
    }
    group.finish();
}

pub(crate) fn put(criterion: &mut Criterion) {
    let addresses = addresses();
    let mut group = criterion.benchmark_group("conversion_put");
    group.throughput(Throughput::Elements(1));
    for size in SIZES {
        let value = value(size);
        let requests: Vec<_> = addresses.iter().map(|at| put_request(at, &value)).collect();
        let service = Service::filled(&addresses, &value);
        let mut server = Server::new(service.service.clone());
        let mut turn = turns();
        group.bench_function(BenchmarkId::new("floor", size), |bencher| {
            bencher.iter(|| {
                let address = &addresses[turn()];
                let put = stand::put(&address.key, &value);
                let call = Call::until(None);
                black_box(at_once(service.cache.put(call, &address.cache, put)))
            });
        });
        group.bench_function(BenchmarkId::new("message", size), |bencher| {
            bencher.iter(|| {
                let request = Request::new(requests[turn()].clone());
                black_box(at_once(service.service.put(request)))
            });
        });
        group.bench_function(BenchmarkId::new("frame", size), |bencher| {
            bencher.iter_batched(
                || frame(&requests[turn()]),
                |frame| black_box(server.call("/vedetta.v1.Cache/Put", frame)),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn put_request(address: &Address, value: &Bytes) -> v1::PutRequest {
    v1::PutRequest {
        cache: address.cache.name.as_str().to_owned(),
        key: address.key.as_bytes().clone(),
        content: Some(v1::put_request::Content::Value(value.clone())),
        ..v1::PutRequest::default()
    }
}
