"""The contract, held on a real server, and on a cluster of three: there a part of it, all with `make soak`."""

from __future__ import annotations

import pytest
from prism_conformance import DurabilityContract, MessagingContract, Subject
from prism_conformance.servers import Server

QUICK_ON_A_CLUSTER = {
    "test_publication_arrives_with_payload_headers_and_topic",
    "test_nothing_is_missed_once_add_has_returned",
    "test_publication_on_one_slot_arrives_on_another",
    "test_one_payload_reaches_many_topics_once_each",
    "test_payload_of_a_mebibyte_and_an_empty_one_arrive",
    "test_message_comes_out_as_it_went_in",
    "test_messages_come_out_in_the_order_they_went_in",
    "test_one_message_is_put_into_many_queues",
    "test_enqueue_on_one_slot_is_dequeued_on_another",
    "test_concurrent_enqueues_of_one_message_store_one_copy",
    "test_queue_that_does_not_exist_takes_nothing",
    "test_of_racing_consumers_one_gets_each_message",
    "test_message_is_handed_out_again_when_its_visibility_ends",
    "test_second_ack_finds_the_lease_lost",
    "test_replayed_dead_letter_is_as_new_at_the_end",
    "test_full_queue_drops_the_oldest_and_says_so_in_their_place",
    "test_removal_with_a_mark_spares_what_was_enqueued_since",
    "test_depth_counts_what_waits_and_what_is_leased",
}


class TestNatsMessaging(MessagingContract):
    @pytest.fixture
    def subject(self, nats_server: Server) -> Subject:
        return Subject("nats", {"servers": nats_server.url.split(","), "subject_prefix": nats_server.scope})


class TestNatsDurability(DurabilityContract):
    @pytest.fixture
    def subject(self, nats_server: Server) -> Subject:
        return Subject("nats", {"servers": nats_server.url.split(","), "subject_prefix": nats_server.scope})


class TestNatsClusterMessaging(MessagingContract):
    @pytest.fixture
    def subject(self, nats_cluster: Server) -> Subject:
        return Subject("nats", {"servers": nats_cluster.url.split(","), "subject_prefix": nats_cluster.scope})


class TestNatsClusterDurability(DurabilityContract):
    @pytest.fixture
    def subject(self, nats_cluster: Server) -> Subject:
        config = {
            "servers": nats_cluster.url.split(","),
            "subject_prefix": nats_cluster.scope,
            "stream": {"replicas": 3},
            "timeout": 15,
        }
        return Subject("nats", config)
