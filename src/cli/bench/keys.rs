//! Workloads on keys.

use futures::stream::{self, StreamExt, TryStreamExt};
use ringfence_bench::workload::{CALLS_AT_ONCE, thousands, walk};
use ringfence_client::{Client, DeleteOptions, Error, GetOptions};

use super::{Context, Failure, Field, Meter, Workload};

/// Each is of a thousand keys.
const DELETES_AT_ONCE: usize = 4;

/// Makes sure that there is something to be read.
pub async fn prepare(context: &Context, field: &Field, workload: Workload) -> Result<(), Failure> {
    let kv = context.client.kv();
    let reads = matches!(workload, Workload::Get | Workload::StaleGet | Workload::Mixed);
    let count = if reads { field.keys } else { 1 };
    let puts = stream::iter(0..count).map(|number| {
        if number % 1000 == 0 && count > 1000 {
            context.output.progress_line(&format!("{number} of {count} keys are written"));
        }
        kv.put(field.key(number), &field.value)
    });
    puts.buffer_unordered(CALLS_AT_ONCE).try_for_each(async |_| Ok::<(), Error>(())).await?;
    Ok(())
}

/// Deletes all that was written. Keys are deleted by the thousand, since one call has a limit.
pub async fn clear(context: &Context, field: &Field) -> Result<(), Error> {
    let kv = context.client.kv();
    let deletes =
        stream::iter(thousands(&field.prefix, field.keys)).map(|prefix| kv.delete_with(DeleteOptions::prefix(prefix)));
    deletes.buffer_unordered(DELETES_AT_ONCE).try_for_each(async |_| Ok(())).await
}

/// Writes.
pub async fn put(client: Client, field: Field, meter: Meter, number: usize) {
    for (_, key) in walk(number) {
        let Some(begun) = meter.next().await else { return };
        meter.ended(begun, client.kv().put(field.key(key), &field.value).await.map(drop));
    }
}

/// Reads.
pub async fn get(client: Client, field: Field, meter: Meter, number: usize, stale: bool) {
    for (_, key) in walk(number) {
        let Some(begun) = meter.next().await else { return };
        let options = GetOptions::key(field.key(key));
        let options = if stale { options.stale() } else { options };
        meter.ended(begun, client.kv().get_with(options).await.map(drop));
    }
}

/// Reads, and writes now and then.
pub async fn mixed(client: Client, field: Field, meter: Meter, number: usize) {
    for (writes, key) in walk(number) {
        let Some(begun) = meter.next().await else { return };
        let done = if writes {
            client.kv().put(field.key(key), &field.value).await.map(drop)
        } else {
            client.kv().get(field.key(key)).await.map(drop)
        };
        meter.ended(begun, done);
    }
}
