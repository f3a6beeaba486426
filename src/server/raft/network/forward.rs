//! What the rest of this server asks of another member.

use std::{future::Future, time::Duration};

use openraft_rt::AsyncRuntime;
use ringfence_core::{Refusal, Reply, Request};
use ringfence_proto::{peer as pb, v1};
use tonic::{Code, Response, Status};

use super::{
    convert,
    pool::{Asking, Lane, Pool, surely_not_sent},
};
use crate::raft::{Admin, AdminDone, AdminError, ForwardError, codec, runtime::Runtime};

/// One member, and how it is reached.
pub struct Forwarder<'a> {
    /// The connections.
    pub pool: &'a Pool,
    /// The member.
    pub to: u64,
    /// Its peer address.
    pub address: &'a str,
    /// The longest to wait.
    pub deadline: Duration,
}

impl Forwarder<'_> {
    fn client(&self) -> Result<pb::peer_client::PeerClient<tonic::transport::Channel>, ForwardError> {
        self.pool.client(self.address, Lane::Forward).map_err(|status| unreachable(&status))
    }

    fn asking(&self) -> Result<Asking, ForwardError> {
        self.pool.asking(self.address, Lane::Forward).map_err(|status| unreachable(&status))
    }

    fn sender(&self) -> Option<pb::Sender> {
        Some(self.pool.sender(self.to))
    }

    async fn within<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>> + Send,
    ) -> Result<T, ForwardError> {
        match Runtime::timeout(self.deadline, call).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(forward_error(&status)),
            Err(_) => Err(ForwardError::Unknown("no answer in time".to_owned())),
        }
    }

    /// See [`crate::raft::Node::forward_propose`].
    ///
    /// # Errors
    /// See [`ForwardError`].
    pub async fn propose(&self, requests: &[Request]) -> Result<Vec<Result<Reply, Refusal>>, ForwardError> {
        let requests = requests.iter().map(codec::request_to).collect();
        let request = pb::ProposeRequest { sender: self.sender(), requests };
        let mut client = self.asking()?;
        let answer = self.within(ask!("forward", self.to, client.propose(request))).await?;
        use pb::propose_response::Result as Message;
        match answer.result {
            Some(Message::Replies(replies)) => {
                let replies = replies.results.into_iter().map(codec::result_from).collect::<Result<_, _>>();
                replies.map_err(|error| ForwardError::Unknown(error.to_string()))
            }
            Some(Message::NotLeader(not)) => Err(ForwardError::NotLeader { leader: convert::not_leader_from(&not) }),
            Some(Message::Stopped(_)) => Err(ForwardError::Unreachable("the member is stopping".to_owned())),
            Some(Message::Unknown(_)) => Err(ForwardError::Unknown("the leader doesn't know".to_owned())),
            None => Err(ForwardError::Unknown("the answer is of a newer version".to_owned())),
        }
    }

    /// See [`crate::raft::Node::forward_read_index`].
    ///
    /// # Errors
    /// See [`ForwardError`].
    pub async fn read_index(&self) -> Result<u64, ForwardError> {
        let request = pb::ReadIndexRequest { sender: self.sender() };
        let mut client = self.asking()?;
        let answer = self.within(ask!("forward", self.to, client.read_index(request))).await?;
        use pb::read_index_response::Result as Message;
        match answer.result {
            Some(Message::Index(index)) => Ok(index),
            Some(Message::NotLeader(not)) => Err(ForwardError::NotLeader { leader: convert::not_leader_from(&not) }),
            Some(Message::NoQuorum(_)) => Err(ForwardError::Unknown("no quorum answered the leader".to_owned())),
            Some(Message::Stopped(_)) => Err(ForwardError::Unreachable("the member is stopping".to_owned())),
            None => Err(ForwardError::Unknown("the answer is of a newer version".to_owned())),
        }
    }

    /// See [`crate::raft::Node::forward_admin`].
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn admin(&self, admin: Admin) -> Result<AdminDone, AdminError> {
        let request = convert::admin_to(self.sender(), admin);
        let mut client = self.client().map_err(admin_error)?;
        let answer = self.within(ask!("forward", self.to, client.admin(request))).await.map_err(admin_error)?;
        convert::admin_response_from(answer)
    }

    /// See [`crate::raft::Node::forward_status`].
    ///
    /// # Errors
    /// See [`ForwardError`].
    pub async fn status(&self) -> Result<v1::MemberStatus, ForwardError> {
        let request = pb::StatusRequest { sender: self.sender() };
        let mut client = self.client()?;
        let answer = self.within(ask!("forward", self.to, client.status(request))).await?;
        answer.status.ok_or_else(|| ForwardError::Unknown("the answer is of a newer version".to_owned()))
    }
}

fn unreachable(status: &Status) -> ForwardError {
    ForwardError::Unreachable(status.message().to_owned())
}

fn forward_error(status: &Status) -> ForwardError {
    let message = status.message().to_owned();
    // The service refuses before it does anything with these codes.
    let refused = matches!(status.code(), Code::FailedPrecondition | Code::InvalidArgument | Code::Unimplemented);
    if refused || surely_not_sent(status) { ForwardError::Unreachable(message) } else { ForwardError::Unknown(message) }
}

fn admin_error(error: ForwardError) -> AdminError {
    match error {
        ForwardError::NotLeader { leader } => AdminError::NotLeader { leader },
        ForwardError::Unreachable(why) => AdminError::Unreachable(why),
        ForwardError::Unknown(why) => AdminError::Unknown(why),
    }
}
