//! gRPC's reflection service, in its present and its former version: tools list and call the services without any .proto file.

use tonic::service::Routes;
use tonic_reflection::server::Builder;

/// What is listed: what this port serves, out of all descriptors.
const SERVICES: [&str; 8] = [
    "ringfence.v1.Kv",
    "ringfence.v1.Session",
    "ringfence.v1.Lock",
    "ringfence.v1.Election",
    "ringfence.v1.Watch",
    "ringfence.v1.Pipeline",
    "ringfence.v1.Cluster",
    "grpc.health.v1.Health",
];

/// Adds reflection. Descriptors that can't be read leave it out: that would be a fault of the build, and no reason not to serve.
pub fn add(routes: Routes) -> Routes {
    let present = builder().build_v1();
    let former = builder().build_v1alpha();
    match (present, former) {
        (Ok(present), Ok(former)) => routes.add_service(present).add_service(former),
        (Err(error), _) | (_, Err(error)) => {
            tracing::error!(%error, "reflection is not served: the descriptors can't be read");
            routes
        }
    }
}

fn builder() -> Builder<'static> {
    let builder = Builder::configure()
        .register_encoded_file_descriptor_set(ringfence_proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
    SERVICES.iter().fold(builder, |builder, name| builder.with_service_name(*name))
}
