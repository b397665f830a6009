"""Which test holds which clause of docs/protocol.md, and back.

`tests/test_requirements.py` checks both ways: every section of the document that makes rules has a clause here, and every test
that is named here exists. Add the line with the test.
"""

from __future__ import annotations

from typing import NamedTuple


class Clause(NamedTuple):
    """One rule of the protocol.

    Attributes:
        section: number of its heading in docs/protocol.md.
        says: the rule in one sentence.
        tests: those that fail when it is broken, as pytest names them.
    """

    section: str
    says: str
    tests: tuple[str, ...]


CLAUSES = (
    Clause(
        "2.1",
        "An envelope has the same fields in JSON and in msgpack; bytes fields are b64 in one and bin in the other.",
        (
            "tests/relay/wire/test_codec.py::test_an_envelope_says_the_same_in_the_other_format",
            "tests/relay/wire/test_codec.py::test_bytes_fields_are_bin_in_msgpack_and_base64_in_json",
            "tests/relay/wire/test_control.py::test_the_bytes_fields_are_exactly_those_of_the_document",
        ),
    ),
    Clause(
        "2.1",
        "The relay takes the first subprotocol that it knows; a client prefers msgpack.",
        (
            "tests/relay/wire/test_codec.py::test_the_subprotocols_are_named_after_their_formats",
            "tests/transport/test_client.py::test_a_client_connects_with_token_and_agent_id_and_prefers_msgpack",
            "tests/relay/test_serve.py::test_a_text_frame_in_msgpack_is_a_protocol_violation",
        ),
    ),
    Clause(
        "2.1",
        "Order of members, spaces and widths of headers are the writer's choice.",
        (
            "tests/relay/wire/test_codec.py::test_order_and_spelling_of_fields_do_not_matter",
            "tests/relay/wire/test_codec.py::test_a_batch_written_with_a_wide_header_is_read",
            "tests/relay/wire/test_codec.py::test_a_batch_may_stand_between_spaces",
        ),
    ),
    Clause(
        "2.2",
        "b64 is standard, padded and canonical; anything else is refused by field.",
        (
            "tests/relay/wire/test_envelope.py::test_base64_that_is_not_canonical_is_refused_by_field",
            "tests/relay/wire/test_codec.py::test_base64_of_a_sealed_message_is_canonical_or_refused_by_name",
            "tests/relay/wire/test_codec.py::test_no_spelling_but_one_of_a_ciphertext_is_read",
        ),
    ),
    Clause(
        "2.3",
        "What does not fit the schema is INVALID_MESSAGE_FORMAT and names the field.",
        (
            "tests/relay/wire/test_codec.py::test_each_of_the_eight_fields_is_missed_by_name",
            "tests/relay/wire/test_codec.py::test_each_of_the_eight_fields_of_another_type_is_refused_by_name",
            "tests/relay/test_serve.py::test_what_does_not_fit_the_protocol_is_refused_by_name_and_harms_nothing",
        ),
    ),
    Clause(
        "2.3",
        "Duplicate keys are refused.",
        (
            "tests/relay/wire/test_codec.py::test_a_key_that_stands_twice_is_refused_by_name",
            "tests/relay/wire/test_strict.py::test_a_key_that_stands_twice_is_named_in_msgpack_too",
        ),
    ),
    Clause(
        "2.3",
        "NaN, infinities and integers beyond 2^53 - 1 are refused.",
        (
            "tests/relay/wire/test_strict.py::test_an_integral_number_beyond_that_is_refused",
            "tests/relay/wire/test_strict.py::test_what_is_no_number_is_refused",
        ),
    ),
    Clause(
        "2.3",
        "Lone surrogates are refused.",
        ("tests/relay/wire/test_strict.py::test_a_lone_surrogate_is_refused",),
    ),
    Clause(
        "2.3",
        "Nesting over 16 is refused.",
        (
            "tests/relay/wire/test_codec.py::test_nesting_over_sixteen_is_refused_by_name",
            "tests/relay/wire/test_strict.py::test_sixteen_levels_are_read_and_seventeen_refused",
        ),
    ),
    Clause(
        "2.3",
        "In msgpack, ext types, float32 and bin where no bytes field is are refused.",
        (
            "tests/relay/wire/test_strict.py::test_an_ext_type_is_refused",
            "tests/relay/wire/test_strict.py::test_a_float32_is_refused",
            "tests/relay/wire/test_codec.py::test_bin_is_refused_in_a_field_that_is_bytes_in_another_type",
        ),
    ),
    Clause(
        "2.3",
        "Unknown fields inside content and metadata are kept; unknown top-level fields are dropped and named.",
        (
            "tests/relay/wire/test_codec.py::test_unknown_fields_inside_are_kept_and_outside_dropped_and_named",
        ),
    ),
    Clause(
        "2.3",
        "Bytes that are not UTF-8, keys that are not strings, and bytes after the end are refused.",
        (
            "tests/relay/wire/test_strict.py::test_bytes_that_are_not_utf_8_are_refused",
            "tests/relay/wire/test_strict.py::test_text_that_is_not_utf_8_is_refused_by_field",
            "tests/relay/wire/test_strict.py::test_a_key_that_is_not_a_string_is_refused",
            "tests/relay/wire/test_strict.py::test_bytes_after_the_end_are_refused",
        ),
    ),
    Clause(
        "2.3",
        "An optional field may be absent or null; both mean the same.",
        (
            "tests/relay/wire/test_codec.py::test_an_optional_bytes_field_may_be_null",
            "tests/relay/wire/test_schema.py::test_an_optional_field_that_is_null_is_absent_however_deep_it_stands",
            "tests/protocol/test_content.py::test_an_optional_field_that_is_null_means_what_its_absence_means",
            "tests/agent/test_receiving.py::test_a_proposal_that_writes_null_for_what_it_leaves_out_is_shown_and_accepted",
            "tests/protocol/test_content.py::test_the_other_details_are_optional",
        ),
    ),
    Clause(
        "2.3",
        "A fault that no field can be named for is said to be of the frame.",
        (
            "tests/relay/wire/test_codec.py::test_a_frame_that_cannot_be_read_is_one_error",
            "tests/relay/wire/test_strict.py::test_a_value_on_its_own_is_called_frame_or_as_the_caller_says",
        ),
    ),
    Clause(
        "2.3",
        "Whatever the bytes, nothing but a declared refusal follows.",
        (
            "tests/fuzz/test_fuzz.py::test_nothing_but_the_declared_errors_comes_out",
            "tests/relay/wire/test_strict.py::test_whatever_the_bytes_only_the_declared_error_is_raised",
        ),
    ),
    Clause(
        "2.4",
        "JCS is RFC 8785 over the JSON form.",
        (
            "tests/protocol/test_canonical.py::test_the_bytes_are_those_of_the_library",
            "tests/protocol/test_canonical.py::test_keys_are_sorted_by_their_utf_16_units",
            "tests/protocol/test_canonical.py::test_numbers_are_written_as_ecmascript_does",
        ),
    ),
    Clause(
        "3.1",
        "The token comes in the upgrade request, and is judged before the upgrade is accepted.",
        (
            "tests/relay/test_connection.py::test_a_token_in_the_upgrade_is_verified_before_the_upgrade_is_accepted",
            "tests/relay/test_serve.py::test_an_invited_agent_is_connected_and_told_the_relays_figures",
        ),
    ),
    Clause(
        "3.1",
        "A client that cannot set headers sends AUTH as its first message, within 10 s.",
        (
            "tests/relay/test_serve.py::test_a_client_that_cannot_set_headers_authenticates_with_its_first_message",
            "tests/relay/test_serve.py::test_anything_else_as_first_message_is_refused",
            "tests/relay/test_attacks.py::test_who_sends_no_auth_in_time_is_closed_with_4408",
        ),
    ),
    Clause(
        "3.1",
        "AUTH renews the token on a live connection.",
        (
            "tests/relay/test_serve.py::test_auth_renews_the_token_of_a_live_connection",
            "tests/transport/test_with_relay.py::test_a_token_is_renewed_on_the_live_connection",
        ),
    ),
    Clause(
        "3.1",
        "All refusals of a token read alike and take equally long.",
        (
            "tests/relay/test_attacks.py::test_refusals_read_alike_and_none_is_told_before_its_time_whatever_was_wrong",
        ),
    ),
    Clause(
        "3.1",
        "Plain ws:// goes only to this machine, or with an explicit opt-in that is shown.",
        (
            "tests/transport/test_client.py::test_plain_ws_to_another_machine_is_refused_without_the_opt_in",
            "tests/transport/test_client.py::test_an_exposed_connection_says_so",
        ),
    ),
    Clause(
        "3.1",
        "The newest connection of an agent wins; the older gets 4409.",
        (
            "tests/relay/test_connection.py::test_replacing_a_connection_tells_its_watchers_and_closes_it_with_4409",
            "tests/relay/test_serve.py::test_the_newest_connection_of_an_agent_wins",
        ),
    ),
    Clause(
        "3.1",
        "Compression is off unless the operator turns it on.",
        ("tests/relay/test_attacks.py::test_compression_is_not_offered_unless_asked",),
    ),
    Clause(
        "3.1",
        "A refusal in the upgrade is 401, 429 or 503 with the content of an ERROR and serverTime.",
        (
            "tests/relay/test_connection.py::test_a_connection_that_is_not_taken_is_told_why",
            "tests/relay/test_connection.py::test_a_refused_upgrade_is_answered_over_http_and_nothing_else_follows",
            "tests/relay/test_attacks.py::test_a_crowded_relay_refuses_with_503_and_a_reason",
        ),
    ),
    Clause(
        "3.1",
        "A connection whose token has expired closes with 4401 after a minute's grace.",
        (
            "tests/relay/test_connection.py::test_an_expired_token_is_borne_for_a_minute_and_a_renewal_saves_the_connection",
            "tests/relay/test_attacks.py::test_an_expired_token_ends_the_connection_after_its_grace",
        ),
    ),
    Clause(
        "3.1",
        "AUTH cannot change the agent of a connection.",
        (
            "tests/relay/test_connection.py::test_auth_on_a_live_connection_cannot_change_its_agent",
            "tests/relay/test_serve.py::test_a_renewal_as_someone_else_ends_the_connection",
        ),
    ),
    Clause(
        "3.2",
        "The relay echoes HEARTBEAT; two missed echoes mean reconnect.",
        (
            "tests/relay/test_serve.py::test_a_heartbeat_is_echoed",
            "tests/transport/test_connection.py::test_two_missed_echoes_mean_reconnect",
            "tests/transport/test_connection.py::test_one_missed_echo_is_forgiven_when_the_next_comes",
        ),
    ),
    Clause(
        "3.2",
        "The relay drops a silent connection.",
        ("tests/relay/test_attacks.py::test_silence_is_closed_with_4408",),
    ),
    Clause(
        "3.2",
        "To leave, a client says DISCONNECT, waits for ACK CLOSED, and is closed with 1000.",
        (
            "tests/relay/test_connection_routing.py::test_a_goodbye_is_acknowledged_and_then_closed",
            "tests/transport/test_connection.py::test_goodbye_is_disconnect_acknowledgement_and_an_orderly_close",
        ),
    ),
    Clause(
        "3.3",
        "A batch is a flat, non-empty array of up to 64; its elements succeed or fail alone, in order.",
        (
            "tests/relay/wire/test_codec.py::test_a_batch_of_up_to_64_is_read_in_order",
            "tests/relay/wire/test_codec.py::test_a_batch_holds_neither_none_nor_more_than_64",
            "tests/relay/wire/test_codec.py::test_a_batch_is_flat",
            "tests/relay/test_serve.py::test_each_element_of_a_batch_succeeds_or_fails_alone_and_in_order",
        ),
    ),
    Clause(
        "3.3",
        "A frame that cannot be read as one envelope or a batch is one error.",
        ("tests/relay/wire/test_codec.py::test_a_frame_that_cannot_be_read_is_one_error",),
    ),
    Clause(
        "3.4",
        "A message over the limit is refused with the limit; a frame over twice that closes with 1009.",
        (
            "tests/relay/test_serve.py::test_a_message_over_the_limit_is_refused_and_a_frame_over_twice_that_ends_the_connection",
            "tests/relay/wire/test_codec.py::test_a_size_is_counted_in_json_form_in_msgpack_too",
        ),
    ),
    Clause(
        "3.4",
        "In JSON bytes count as they came, in each element of a batch alone.",
        (
            "tests/relay/wire/test_codec.py::test_spaces_count_in_json",
            "tests/relay/wire/test_codec.py::test_the_limit_is_of_each_element_and_not_of_the_batch",
            "tests/relay/wire/test_codec.py::test_a_text_that_grows_in_json_is_counted_as_it_grows",
        ),
    ),
    Clause(
        "3.4",
        "A client goes by the limit that CONNECTED told: what does not fit is FAILED as TOO_LARGE and can be sent again.",
        (
            "tests/agent/test_sealing.py::test_a_relay_that_takes_less_is_heeded_and_the_next_message_has_no_gap",
            "tests/agent/test_sealing.py::test_what_was_sealed_for_a_relay_that_took_more_fails_in_words_and_goes_by_hand_when_it_fits_again",
            "tests/agent/test_sealing.py::test_what_is_not_too_large_fits_under_the_limit_whatever_its_ids",
        ),
    ),
    Clause(
        "3.5",
        "A watch set names all from whom messages may come, or as many of the latest as one envelope holds.",
        (
            "tests/agent/test_presence.py::test_everybody_from_whom_messages_may_come_is_watched",
            "tests/agent/test_presence.py::test_of_more_contacts_than_one_envelope_holds_the_latest_are_watched_and_it_is_said_once",
            "tests/agent/test_presence.py::test_who_is_blocked_is_not_watched",
        ),
    ),
    Clause(
        "3.5",
        "The relay forwards bytes untouched where both ends use one format, and transcodes otherwise.",
        (
            "tests/relay/test_serve.py::test_a_message_reaches_its_recipient_untouched_and_is_acknowledged",
            "tests/relay/test_serve.py::test_a_message_is_transcoded_between_the_two_formats",
        ),
    ),
    Clause(
        "3.5",
        "An unknown or absent recipient is RECIPIENT_NOT_FOUND.",
        (
            "tests/relay/test_serve.py::test_an_absent_recipient_is_reported_with_the_message",
            "tests/relay/test_cluster.py::test_nobody_is_not_found_at_once",
        ),
    ),
    Clause(
        "3.5",
        "Where another relay does not say whether it took the message, the sender is told MESSAGE_ERROR.",
        (
            "tests/relay/test_forwarding.py::test_no_answer_in_time_is_told_as_not_known_and_a_late_one_changes_nothing",
            "tests/relay/test_cluster.py::test_a_nats_that_hangs_leaves_the_fate_of_a_message_open",
        ),
    ),
    Clause(
        "3.5",
        "A senderId that is not the connection's agent is SENDER_MISMATCH; the second within a minute closes with 4400.",
        (
            "tests/relay/test_serve.py::test_another_ones_name_is_refused_and_the_second_time_ends_the_connection",
            "tests/relay/test_connection.py::test_the_second_false_name_within_a_minute_closes_and_a_later_one_does_not",
        ),
    ),
    Clause(
        "3.5",
        "ACK, ERROR and HEARTBEAT are never acknowledged.",
        ("tests/relay/test_serve.py::test_answers_are_passed_on_and_never_acknowledged",),
    ),
    Clause(
        "3.5",
        "To an agent that watches others, agents outside its set can route only HANDSHAKE, few of them.",
        (
            "tests/relay/test_serve.py::test_strangers_can_only_knock_at_an_agent_that_watches_others",
            "tests/relay/test_attacks.py::test_handshakes_to_strangers_are_few",
        ),
    ),
    Clause(
        "3.5",
        "A slow reader is closed and its sender told.",
        ("tests/relay/test_attacks.py::test_a_reader_that_never_reads_is_closed_and_its_sender_is_told",),
    ),
    Clause(
        "3.5",
        "The relay acts on AUTH, HEARTBEAT, PRESENCE and DISCONNECT to `system`, and passes none of AUTH, CONNECTED and PRESENCE on.",
        (
            "tests/relay/test_connection_routing.py::test_what_the_relay_does_not_take_is_told",
            "tests/relay/test_connection.py::test_what_is_between_an_agent_and_its_relay_is_not_passed_on",
        ),
    ),
    Clause(
        "3.5",
        "RECIPIENT_NOT_FOUND reads the same for who is offline and who does not watch the sender.",
        (
            "tests/relay/test_connection_routing.py::test_who_watches_others_hears_of_strangers_only_handshakes",
            "tests/relay/test_connection_routing.py::test_an_absent_recipient_is_told_with_the_message",
        ),
    ),
    Clause(
        "3.5",
        "Over a limit a message is answered with RATE_LIMIT_EXCEEDED and retryAfter; who goes on is closed with 4429.",
        (
            "tests/relay/test_connection_routing.py::test_an_agent_that_says_too_much_is_told_how_long_to_wait",
            "tests/relay/test_connection_routing.py::test_refusals_without_end_close_the_connection_and_slow_ones_do_not",
            "tests/relay/test_attacks.py::test_too_many_messages_are_refused_with_a_delay_and_then_closed",
        ),
    ),
    Clause(
        "3.6",
        "Each close code says whether to come back, and how.",
        (
            "tests/relay/wire/test_errors.py::test_there_are_no_other_close_codes",
            "tests/transport/test_connection.py::test_these_closes_are_retried_with_backoff_and_never_at_once",
            "tests/transport/test_connection.py::test_a_replaced_or_faulty_connection_waits_for_a_person",
            "tests/transport/test_connection.py::test_an_expired_sign_in_is_repeated_with_a_fresh_token",
        ),
    ),
    Clause(
        "4.1",
        "The eight fields are all required.",
        ("tests/relay/wire/test_codec.py::test_each_of_the_eight_fields_is_missed_by_name",),
    ),
    Clause(
        "4.1",
        "A timestamp is 0 to 2^53 - 1, and the fields have their types.",
        (
            "tests/relay/wire/test_codec.py::test_a_value_out_of_range_is_refused_by_name",
            "tests/relay/wire/test_codec.py::test_each_of_the_eight_fields_of_another_type_is_refused_by_name",
        ),
    ),
    Clause(
        "4.2",
        "An agentId has 2 to 64 characters and is unique ignoring case; `system` is reserved.",
        (
            "tests/relay/wire/test_envelope.py::test_an_agent_id_of_2_to_64_characters_is_accepted",
            "tests/relay/wire/test_envelope.py::test_what_is_not_an_agent_id_is_refused_by_field",
            "tests/relay/wire/test_envelope.py::test_no_agent_may_be_called_system_in_any_spelling",
            "tests/relay/wire/test_envelope.py::test_two_spellings_of_one_agent_id_have_one_key",
        ),
    ),
    Clause(
        "4.2",
        "Ids are scoped to the peer's identity key: another under the same agentId inherits and changes nothing.",
        (
            "tests/agent/test_identities.py::test_an_answer_that_one_identity_got_is_not_repeated_to_another",
            "tests/agent/test_identities.py::test_a_proposal_to_one_identity_cannot_be_accepted_by_another",
            "tests/agent/test_identities.py::test_a_meeting_with_one_identity_cannot_be_changed_by_or_told_to_another",
            "tests/agent/test_identities.py::test_an_id_that_another_identity_uses_again_is_a_new_proposal_and_the_old_one_stands",
            "tests/agent/test_identities.py::test_a_query_to_one_identity_is_not_answered_by_another",
            "tests/agent/test_identities.py::test_a_question_of_another_key_than_the_contacts_gets_no_answer",
            "tests/agent/test_identities.py::test_what_waits_for_a_gap_is_handed_on_only_while_its_sender_is_a_contact",
        ),
    ),
    Clause(
        "4.2",
        "Our ids carry their prefix and sort by time; any id of 1 to 64 allowed characters is accepted.",
        (
            "tests/relay/wire/test_envelope.py::test_an_id_is_its_prefix_and_a_ulid",
            "tests/relay/wire/test_envelope.py::test_ids_sort_by_time_whatever_the_randomness",
            "tests/relay/wire/test_envelope.py::test_an_id_of_1_to_64_characters_is_accepted",
        ),
    ),
    Clause(
        "4.2",
        "A stranger who uses another's sessionId or conversationId touches nothing of theirs.",
        (
            "tests/crypto/test_attacks.py::test_a_message_under_another_senders_name_is_refused",
            "tests/agent/test_handshakes.py::test_a_session_id_used_again_with_other_bytes_is_refused",
            "tests/agent/test_handshakes.py::test_a_session_id_that_another_key_has_used_is_still_the_pinned_keys",
            "tests/agent/test_receiving.py::test_a_message_of_an_agent_that_is_no_contact_is_refused_silently",
        ),
    ),
    Clause(
        "4.3",
        "Metadata always holds priority, encrypted and requiresResponse.",
        (
            "tests/relay/wire/test_envelope.py::test_metadata_always_holds_its_three_fields",
            "tests/relay/wire/test_codec.py::test_each_field_of_the_metadata_is_missed_by_name",
        ),
    ),
    Clause(
        "5.1",
        "AUTH carries token and agentId, and a token is not shown.",
        ("tests/relay/wire/test_control.py::test_neither_a_token_nor_an_invite_is_shown",),
    ),
    Clause(
        "5.2",
        "CONNECTED tells the relay's figures.",
        ("tests/relay/test_serve.py::test_an_invited_agent_is_connected_and_told_the_relays_figures",),
    ),
    Clause(
        "5.3",
        "An ACK of the relay carries message and status; a delivery receipt and a confirmation lack nothing.",
        (
            "tests/relay/wire/test_control.py::test_an_ack_of_the_relay_carries_only_the_message_and_the_status",
            "tests/relay/wire/test_control.py::test_a_delivery_receipt_lacks_nothing",
            "tests/relay/wire/test_control.py::test_a_confirmation_of_a_handshake_carries_its_tag",
        ),
    ),
    Clause(
        "5.4",
        "Presence is told only to pairs that watch each other.",
        (
            "tests/relay/test_serve.py::test_presence_is_told_to_those_who_watch_each_other_and_to_no_one_else",
        ),
    ),
    Clause(
        "5.4",
        "A watch set names up to 1,000 agents.",
        ("tests/relay/wire/test_control.py::test_a_thousand_agents_can_be_watched_and_no_more",),
    ),
    Clause("5.5", "HEARTBEAT is echoed.", ("tests/relay/test_serve.py::test_a_heartbeat_is_echoed",)),
    Clause(
        "5.6",
        "DISCONNECT is acknowledged with CLOSED and closed with 1000.",
        (
            "tests/relay/test_serve.py::test_disconnect_is_acknowledged_and_closed_in_order",
            "tests/transport/test_client.py::test_stopping_says_goodbye_and_closes_with_1000",
        ),
    ),
    Clause(
        "5.7",
        "An ERROR follows the table of codes.",
        ("tests/relay/wire/test_control.py::test_an_error_from_the_relay_follows_the_table",),
    ),
    Clause(
        "5.7",
        "An errorCode is 1 to 64 characters of its form.",
        (
            "tests/relay/wire/test_control.py::test_an_error_word_has_up_to_64_characters",
            "tests/relay/wire/test_control.py::test_what_is_no_error_word_is_refused_by_name",
        ),
    ),
    Clause(
        "5.8",
        "HANDSHAKE has the fields of the protocol; a suite is a list from the initiator and one word from the responder.",
        (
            "tests/crypto/test_handshake.py::test_the_initiation_has_the_fields_of_the_protocol",
            "tests/relay/wire/test_control.py::test_a_suite_is_a_list_from_the_initiator_and_one_word_from_the_responder",
        ),
    ),
    Clause(
        "5.8",
        "A suite has 1 to 64 characters, a list of them 1 to 16 entries.",
        ("tests/relay/wire/test_control.py::test_a_suite_has_up_to_64_characters",),
    ),
    Clause(
        "5.9",
        "Keys, hashes, nonces and signatures have their length.",
        (
            "tests/relay/wire/test_control.py::test_keys_hashes_nonces_and_signatures_have_their_length",
            "tests/relay/wire/test_control.py::test_a_ciphertext_shorter_than_its_tag_is_refused",
        ),
    ),
    Clause(
        "6",
        "What agents say to each other travels only inside ENCRYPTED.",
        (
            "tests/relay/wire/test_control.py::test_what_agents_say_to_each_other_travels_sealed",
            "tests/relay/wire/test_envelope.py::test_the_types_that_travel_only_sealed_are_those_of_the_document",
            "tests/end_to_end/test_main_job.py::test_neither_the_relay_nor_the_disk_ever_holds_a_plaintext",
        ),
    ),
    Clause(
        "6",
        "What travels only sealed is refused in the clear; only the relay says what the relay says.",
        (
            "tests/agent/test_receiving.py::test_what_travels_only_sealed_is_refused_in_the_clear",
            "tests/agent/test_receiving.py::test_only_the_relay_may_say_what_the_relay_says",
        ),
    ),
    Clause(
        "7.1",
        "Ed25519 keys and R of small order or non-canonical form, and S >= L, are refused everywhere.",
        (
            "tests/crypto/test_keys.py::test_an_identity_key_of_small_order_is_refused",
            "tests/crypto/test_keys.py::test_a_signature_whose_r_is_of_small_order_is_refused",
            "tests/crypto/test_keys.py::test_a_signature_whose_s_is_not_reduced_is_refused",
            "tests/crypto/test_keys.py::test_a_forgery_that_openssl_accepts_is_refused",
            "tests/relay/test_attacks.py::test_every_point_of_small_order_and_every_second_encoding_is_refused",
        ),
    ),
    Clause(
        "7.1",
        "A stolen identity key opens no past conversation.",
        (
            "tests/crypto/test_attacks.py::test_a_stolen_identity_key_opens_no_past_conversation",
            "tests/agent/test_handshakes.py::test_the_ephemeral_key_is_gone_once_the_session_stands",
        ),
    ),
    Clause(
        "7.1",
        "X25519 keys that give an all-zero secret are refused.",
        (
            "tests/crypto/test_keys.py::test_an_ephemeral_key_of_low_order_is_refused",
            "tests/crypto/test_keys.py::test_an_all_zero_secret_is_refused_even_if_the_library_lets_it_pass",
        ),
    ),
    Clause(
        "7.1",
        "Ephemeral private keys are wiped once the session keys are derived.",
        ("tests/agent/test_handshakes.py::test_the_ephemeral_key_is_gone_once_the_session_stands",),
    ),
    Clause(
        "7.1",
        "A fingerprint is SHA-256 of the identity key in groups of four.",
        ("tests/crypto/test_keys.py::test_a_fingerprint_is_sha_256_in_groups",),
    ),
    Clause(
        "7.2",
        "Signing is Ed25519, the exchange X25519, the derivation HKDF-SHA256.",
        (
            "tests/crypto/test_keys.py::test_signing_is_ed25519",
            "tests/crypto/test_keys.py::test_the_exchange_is_x25519",
            "tests/crypto/test_handshake.py::test_hkdf_is_rfc_5869s",
        ),
    ),
    Clause(
        "7.3",
        "A handshake with a bad signature, another agentId, one's own id or a weak key is refused and changes nothing.",
        (
            "tests/agent/test_handshakes.py::test_a_handshake_with_a_wrong_signature_is_refused_and_changes_nothing",
            "tests/crypto/test_handshake.py::test_an_initiation_that_breaks_a_rule_is_refused",
            "tests/crypto/test_handshake.py::test_keys_of_low_order_are_refused_though_well_signed",
            "tests/crypto/test_attacks.py::test_an_agents_own_handshake_sent_back_to_it_is_refused",
        ),
    ),
    Clause(
        "7.3",
        "A wrong peerHash is refused.",
        (
            "tests/crypto/test_handshake.py::test_a_response_that_breaks_a_rule_is_refused",
            "tests/crypto/test_attacks.py::test_a_response_replayed_from_an_earlier_handshake_is_refused",
        ),
    ),
    Clause(
        "7.3",
        "A sessionId used before with other bytes is refused; the identical HANDSHAKE gets the identical response.",
        (
            "tests/agent/test_handshakes.py::test_a_session_id_used_again_with_other_bytes_is_refused",
            "tests/agent/test_handshakes.py::test_an_identical_handshake_gets_the_identical_response",
            "tests/agent/test_handshakes.py::test_a_handshake_is_the_same_however_its_members_are_ordered",
            "tests/agent/test_handshakes.py::test_an_old_handshake_played_again_does_not_put_an_end_to_one_of_ours",
        ),
    ),
    Clause(
        "7.3",
        "A response to nothing pending is logged and ignored.",
        ("tests/agent/test_handshakes.py::test_a_response_to_nothing_pending_is_logged_and_ignored",),
    ),
    Clause(
        "7.3",
        "Of two at once, the handshake of the agent whose id sorts first wins.",
        (
            "tests/crypto/test_handshake.py::test_of_two_crossing_handshakes_exactly_one_survives",
            "tests/agent/test_handshakes.py::test_when_both_start_at_once_one_session_comes_about",
        ),
    ),
    Clause(
        "7.3",
        "Handshakes in different conversations do not cross: each is answered.",
        (
            "tests/agent/test_handshakes.py::test_handshakes_in_two_conversations_do_not_cross_and_are_both_answered",
            "tests/agent/test_handshakes.py::test_a_client_written_from_the_document_never_waits_for_a_handshake_that_crossed",
        ),
    ),
    Clause(
        "7.3",
        "A pending handshake is kept until answered, superseded or 7 days old, and is repeated unchanged at most hourly.",
        (
            "tests/agent/test_handshakes.py::test_a_pending_handshake_survives_a_restart",
            "tests/agent/test_handshakes.py::test_a_pending_handshake_is_given_up_after_seven_days",
            "tests/agent/test_handshakes.py::test_a_routed_handshake_that_nobody_answers_is_repeated_unchanged_and_at_most_hourly",
        ),
    ),
    Clause(
        "7.3",
        "A pending handshake that was not routed is sent when the peer comes online, once on a connection.",
        (
            "tests/agent/test_handshakes.py::test_a_first_handshake_is_sent_once",
            "tests/agent/test_handshakes.py::test_a_handshake_made_without_a_connection_is_put_to_the_relay_once_on_the_next",
            "tests/agent/test_handshakes.py::test_a_handshake_waits_until_the_peer_is_found_and_messages_wait_behind_it",
        ),
    ),
    Clause(
        "7.3",
        "Of an unapproved peer only the newest is kept.",
        ("tests/agent/test_trust.py::test_of_an_unapproved_agent_only_the_newest_handshake_is_kept",),
    ),
    Clause(
        "7.3",
        "Role, suite, conversation, session and sender of a handshake are checked in order.",
        (
            "tests/crypto/test_handshake.py::test_an_initiation_that_breaks_a_rule_is_refused",
            "tests/crypto/test_handshake.py::test_a_response_that_breaks_a_rule_is_refused",
            "tests/crypto/test_handshake.py::test_a_key_is_judged_before_the_signature",
            "tests/crypto/test_attacks.py::test_a_responder_cannot_choose_what_was_not_offered",
        ),
    ),
    Clause(
        "7.4",
        "The confirmation tag is HMAC over the response; another tag confirms nothing.",
        (
            "tests/crypto/test_handshake.py::test_the_confirmation_tag_is_hmac_over_the_response",
            "tests/crypto/test_handshake.py::test_another_tag_does_not_confirm",
            "tests/agent/test_handshakes.py::test_a_wrong_confirmation_is_refused",
        ),
    ),
    Clause(
        "7.4",
        "Until it is confirmed, the responder sends nothing under the new session and repeats its response.",
        (
            "tests/agent/test_handshakes.py::test_an_unconfirmed_responder_sends_nothing_under_the_new_session",
            "tests/agent/test_handshakes.py::test_a_lost_confirmation_is_repeated_with_the_response",
            "tests/agent/test_handshakes.py::test_a_message_that_opens_confirms_the_session",
        ),
    ),
    Clause(
        "7.4",
        "An answer that nobody confirms goes after 7 days, and holds messages up no longer than its repeats last.",
        (
            "tests/agent/test_handshakes.py::test_the_keys_of_an_answer_that_nobody_confirms_go_after_seven_days",
            "tests/agent/test_handshakes.py::test_a_handshake_that_its_sender_has_dropped_holds_messages_up_only_for_a_while",
            "tests/agent/test_handshakes.py::test_a_response_spends_no_attempt_while_the_initiator_is_away",
        ),
    ),
    Clause(
        "7.5",
        "Session keys depend on the whole transcript.",
        (
            "tests/crypto/test_handshake.py::test_the_keys_follow_hkdf_over_the_whole_transcript",
            "tests/crypto/test_handshake.py::test_one_changed_byte_of_the_transcript_changes_every_key",
        ),
    ),
    Clause(
        "7.6",
        "Sealing gives the bytes of the protocol at every step.",
        (
            "tests/crypto/test_session.py::test_every_step_gives_the_bytes_of_the_protocol",
            "tests/crypto/test_session.py::test_length_tells_only_a_step",
            "tests/crypto/test_session.py::test_the_largest_message_fits_and_the_next_is_refused",
        ),
    ),
    Clause(
        "7.6",
        "A message that was changed, moved, redirected or re-attributed is refused.",
        (
            "tests/crypto/test_attacks.py::test_any_single_flipped_bit_of_an_envelope_is_refused",
            "tests/crypto/test_attacks.py::test_a_message_moved_into_another_conversation_is_refused",
            "tests/crypto/test_attacks.py::test_a_message_passed_on_to_another_recipient_is_refused",
            "tests/crypto/test_attacks.py::test_a_message_under_another_senders_name_is_refused",
        ),
    ),
    Clause(
        "7.6",
        "A commitment to something else is noticed.",
        ("tests/crypto/test_session.py::test_a_commitment_to_something_else_is_noticed",),
    ),
    Clause(
        "7.6",
        "Unknown metadata are signed too.",
        ("tests/crypto/test_session.py::test_unknown_metadata_are_signed",),
    ),
    Clause(
        "7.6",
        "A nonce is used for one message only, even with a broken random source.",
        (
            "tests/crypto/test_session.py::test_the_nonce_depends_on_hedge_seq_header_and_content",
            "tests/crypto/test_session.py::test_even_a_broken_random_source_repeats_no_nonce_for_another_message",
        ),
    ),
    Clause(
        "7.6",
        "Padding of another form or length is refused.",
        (
            "tests/crypto/test_padding.py::test_padding_of_another_form_or_length_is_refused",
            "tests/crypto/test_session.py::test_a_plaintext_with_other_padding_is_refused",
        ),
    ),
    Clause(
        "7.6",
        "A plaintext is canonical and has exactly data, opening and seq.",
        ("tests/crypto/test_session.py::test_a_plaintext_of_another_form_is_refused",),
    ),
    Clause(
        "7.6",
        "A message for another agent, or one's own come back, is refused.",
        (
            "tests/crypto/test_session.py::test_a_message_for_another_agent_or_of_this_one_is_refused",
            "tests/crypto/test_attacks.py::test_an_agents_own_message_sent_back_to_it_is_refused",
        ),
    ),
    Clause(
        "7.7",
        "The worked example is what the published vectors hold.",
        (
            "tests/crypto/test_vectors.py::test_the_published_files_are_what_the_generator_makes",
            "tests/crypto/test_vectors.py::test_messages",
            "tests/crypto/test_vectors.py::test_handshakes",
        ),
    ),
    Clause(
        "7.8",
        "A receipt binds message and log head.",
        ("tests/crypto/test_session.py::test_a_receipt_binds_message_and_log",),
    ),
    Clause(
        "7.8",
        "A receipt with a wrong signature, or of somebody else, counts nothing.",
        (
            "tests/agent/test_delivery.py::test_a_receipt_with_a_wrong_signature_is_refused_and_counts_nothing",
            "tests/agent/test_delivery.py::test_a_receipt_from_somebody_else_counts_nothing",
        ),
    ),
    Clause(
        "7.9",
        "A message is known by its peer's identity key and messageId; a repeat is acknowledged and not shown.",
        (
            "tests/store/test_records.py::test_duplicates_are_keyed_by_identity_key_and_message_id",
            "tests/agent/test_handshakes.py::test_a_resealed_copy_of_a_stored_message_is_acknowledged_and_not_shown_again",
        ),
    ),
    Clause(
        "7.9",
        "Gaps in seq are waited for, then noted; a late message is delivered once.",
        (
            "tests/crypto/test_replay.py::test_a_message_ahead_waits_for_the_gap_and_follows_it",
            "tests/crypto/test_replay.py::test_a_gap_given_up_is_noted_and_a_late_message_delivered_once",
        ),
    ),
    Clause(
        "7.9",
        "A seq over 1,000 ahead is refused.",
        ("tests/crypto/test_replay.py::test_a_seq_over_a_thousand_ahead_is_refused_and_changes_nothing",),
    ),
    Clause(
        "7.9",
        "Another message under a known id, and a seq that another has used, are refused without a receipt.",
        (
            "tests/agent/test_receiving.py::test_another_message_under_a_known_id_is_refused_without_a_receipt",
            "tests/agent/test_receiving.py::test_a_sequence_number_too_far_ahead_or_used_twice_is_refused",
            "tests/agent/test_receiving.py::test_a_copy_sealed_again_under_a_sequence_number_that_is_taken_gets_no_receipt",
        ),
    ),
    Clause(
        "7.9",
        "Content that does not validate is set aside and ends its sender's row.",
        (
            "tests/agent/test_receiving.py::test_content_that_does_not_validate_is_set_aside_and_ends_the_senders_row",
        ),
    ),
    Clause(
        "7.9",
        "What validates and cannot be handled is set aside too, answered, and stops nothing else.",
        (
            "tests/agent/test_poison.py::test_a_message_that_cannot_be_handled_is_set_aside_and_the_others_are_not",
            "tests/agent/test_poison.py::test_a_held_message_that_cannot_be_handled_costs_none_before_or_behind_it",
            "tests/agent/test_poison.py::test_a_held_message_that_cannot_be_handled_does_not_keep_the_agent_from_starting",
        ),
    ),
    Clause(
        "7.10",
        "A new handshake replaces a session after 30 days or 1,000 messages; the old one opens for a day more.",
        (
            "tests/protocol/test_session.py::test_a_session_is_rotated_after_thirty_days_or_a_thousand_messages",
            "tests/agent/test_handshakes.py::test_rotation_comes_by_itself_after_enough_messages",
            "tests/agent/test_handshakes.py::test_rotation_replaces_the_keys_and_the_old_ones_are_wiped_after_a_day",
        ),
    ),
    Clause(
        "7.10",
        "Rows not delivered are sealed again under the new session with the same messageId.",
        (
            "tests/agent/test_handshakes.py::test_what_was_not_delivered_is_sealed_again_under_the_new_session_with_the_same_id",
            "tests/store/test_outbox.py::test_a_receipt_for_any_ciphertext_of_a_message_is_known",
        ),
    ),
    Clause(
        "7.10",
        "A session goes through the states of the table; what is not in it raises.",
        (
            "tests/protocol/test_session.py::test_a_session_that_was_used_retires_before_it_closes",
            "tests/protocol/test_session.py::test_a_closed_session_stays_closed",
            "tests/protocol/test_session.py::test_an_active_session_does_not_lapse_by_itself",
            "tests/protocol/test_session.py::test_the_times_are_those_of_the_document",
        ),
    ),
    Clause(
        "7.10",
        "A message under a lost session starts a handshake, at most once a minute; a bad signature starts nothing.",
        (
            "tests/agent/test_receiving.py::test_a_message_under_a_lost_session_leads_to_a_new_handshake_and_arrives",
            "tests/agent/test_receiving.py::test_a_lost_session_starts_a_handshake_at_most_once_a_minute",
            "tests/agent/test_receiving.py::test_a_bad_signature_starts_and_counts_nothing",
        ),
    ),
    Clause(
        "8.1",
        "Times are RFC 3339 with an offset.",
        (
            "tests/protocol/test_times.py::test_what_is_not_an_rfc_3339_time_with_an_offset_is_refused",
            "tests/protocol/test_times.py::test_a_time_that_does_not_exist_is_refused",
        ),
    ),
    Clause(
        "8.1",
        "An instant lies in the years 1970 to 2999; another is refused, and stops nothing.",
        (
            "tests/protocol/test_times.py::test_an_instant_that_not_every_zone_and_system_can_write_is_refused",
            "tests/protocol/test_times.py::test_an_instant_that_is_taken_has_a_wall_time_in_every_zone",
            "tests/agent/test_poison.py::test_an_instant_at_the_end_of_time_is_answered_and_stops_nothing",
        ),
    ),
    Clause(
        "8.1",
        "When instant and wall time disagree here, the person is told.",
        ("tests/protocol/test_times.py::test_a_wall_time_that_differs_here_is_told",),
    ),
    Clause(
        "8.2",
        "An AVAILABILITY range over 62 days, an end before its start or an unknown zone is INVALID_PARAMETERS.",
        (
            "tests/protocol/test_content.py::test_parameters_that_break_a_rule_are_answered_invalid",
            "tests/protocol/test_content.py::test_a_range_of_none_to_62_days_is_answered",
        ),
    ),
    Clause(
        "8.2",
        "AVAILABILITY is answered within working hours.",
        (
            "tests/agent/test_meeting.py::test_a_query_is_answered_from_working_hours",
            "tests/end_to_end/test_main_job.py::test_a_query_is_answered_within_working_hours",
        ),
    ),
    Clause(
        "8.2",
        "A RESPONSE holds data, or says why not in one of the codes.",
        (
            "tests/protocol/test_content.py::test_a_response_holds_data_or_says_why_not",
            "tests/protocol/test_content.py::test_both_members_of_a_response_are_always_written",
            "tests/protocol/test_content.py::test_the_response_codes_are_those_of_the_document_and_of_the_one_table",
        ),
    ),
    Clause(
        "8.2",
        "What the person's policy denies gives no hint of what exists.",
        (
            "tests/agent/test_queries.py::test_what_the_person_denies_gives_no_hint",
            "tests/agent/test_queries.py::test_a_denied_availability_tells_nothing",
        ),
    ),
    Clause(
        "8.2",
        "A CUSTOM query goes to its handler; what nobody answers in time is told to its sender alone.",
        (
            "tests/agent/test_queries.py::test_a_custom_query_goes_to_its_handler",
            "tests/agent/test_queries.py::test_a_handler_that_fails_is_an_internal_error_without_its_words",
            "tests/agent/test_queries.py::test_a_query_unanswered_past_its_time_is_a_timeout_in_the_senders_log",
        ),
    ),
    Clause(
        "8.3",
        "A proposal names up to four alternatives; an answer names revision and alternative.",
        (
            "tests/protocol/test_content.py::test_four_alternatives_are_allowed",
            "tests/agent/test_meeting.py::test_an_alternative_can_be_accepted",
            "tests/protocol/test_content.py::test_an_answer_without_a_revision_means_the_first_and_the_main_slot",
        ),
    ),
    Clause(
        "8.3",
        "A slot gone since is answered with SCHEDULE_CONFLICT.",
        ("tests/agent/test_meeting.py::test_a_slot_taken_since_is_answered_with_a_schedule_conflict",),
    ),
    Clause(
        "8.3",
        "Either side may withdraw, before or after acceptance.",
        (
            "tests/protocol/test_proposal.py::test_either_side_may_reject_before_and_after_acceptance",
            "tests/agent/test_meeting.py::test_an_accepted_meeting_can_be_cancelled_by_either_side",
        ),
    ),
    Clause(
        "8.3",
        "Each member of a proposal keeps its bounds.",
        (
            "tests/protocol/test_content.py::test_at_the_edge_of_each_bound_a_proposal_is_read",
            "tests/protocol/test_content.py::test_just_beyond_the_edge_it_is_refused_by_name",
            "tests/protocol/test_content.py::test_a_detail_that_breaks_a_rule_is_refused_by_name",
        ),
    ),
    Clause(
        "8.3",
        "A counter-proposal is MODIFIED, with the next revision.",
        (
            "tests/protocol/test_content.py::test_a_first_revision_is_pending",
            "tests/protocol/test_content.py::test_a_later_revision_is_modified",
            "tests/agent/test_meeting.py::test_a_counter_proposal_is_answered_by_the_other_side",
        ),
    ),
    Clause(
        "8.3",
        "A meeting of more than two is one conversation with each.",
        ("tests/agent/test_meeting.py::test_a_meeting_of_three_is_one_proposal_to_each",),
    ),
    Clause(
        "8.4",
        "The state of a proposal is a table; what is not in it raises and changes nothing.",
        (
            "tests/protocol/test_proposal.py::test_only_what_the_profile_lists_can_happen",
            "tests/protocol/test_proposal.py::test_every_state_has_its_row",
        ),
    ),
    Clause(
        "8.4",
        "A CONFIRMATION that comes too late is answered by REJECTION.",
        (
            "tests/agent/test_meeting.py::test_a_confirmation_that_comes_too_late_is_answered_with_a_rejection",
        ),
    ),
    Clause(
        "8.4",
        "A PROPOSAL that failed for a reason that may pass can be sent again and accepted until its time is over.",
        (
            "tests/agent/test_undelivered.py::test_a_failed_proposal_is_pending_until_its_time_and_can_be_sent_again_and_accepted",
            "tests/agent/test_undelivered.py::test_a_proposal_sent_again_does_not_outlive_itself",
            "tests/agent/test_undelivered.py::test_why_a_proposal_failed_says_whether_it_can_be_sent_again",
        ),
    ),
    Clause(
        "8.4",
        "What is over or was given up is not sent again; one given up that arrived all the same is withdrawn.",
        (
            "tests/agent/test_undelivered.py::test_an_expired_proposal_gets_no_more_days_by_being_sent_again",
            "tests/agent/test_undelivered.py::test_a_proposal_whose_message_was_given_up_is_withdrawn_for_good",
            "tests/agent/test_undelivered.py::test_a_withdrawn_proposal_that_did_arrive_is_withdrawn_there_too",
        ),
    ),
    Clause(
        "8.5",
        "When the two sides crossed, REJECTION wins; of two equal revisions the original proposer's.",
        (
            "tests/agent/test_meeting.py::test_a_proposal_withdrawn_while_it_is_accepted_ends_rejected_on_both_sides",
            "tests/protocol/test_proposal.py::test_of_two_equal_revisions_the_original_proposers_wins",
            "tests/protocol/test_proposal.py::test_whatever_crosses_nobody_goes_to_a_meeting_that_the_other_has_dropped",
        ),
    ),
    Clause(
        "8.5",
        "A stale message, and one from the wrong side, changes nothing.",
        (
            "tests/protocol/test_proposal.py::test_an_earlier_revision_is_stale",
            "tests/protocol/test_proposal.py::test_nobody_confirms_their_own_proposal",
            "tests/protocol/test_proposal.py::test_a_confirmation_of_a_stale_or_unknown_revision_changes_nothing",
            "tests/protocol/test_proposal.py::test_a_rejection_of_a_stale_or_unknown_revision_changes_nothing",
        ),
    ),
    Clause(
        "8.6",
        "A sealed DISCONNECT ends the conversation.",
        (
            "tests/agent/test_handshakes.py::test_an_ended_conversation_is_not_used_again",
            "tests/agent/test_handshakes.py::test_the_keys_of_an_ended_conversation_go_although_the_peer_never_hears_of_it",
        ),
    ),
    Clause(
        "8.6",
        "A sealed ERROR ends its row as FAILED.",
        ("tests/agent/test_receiving.py::test_an_error_about_our_message_fails_its_row",),
    ),
    Clause(
        "9.1",
        "Row and log entry commit before anything is sent; a retry under the same session sends the same bytes.",
        (
            "tests/store/test_engine.py::test_a_result_comes_only_after_the_commit",
            "tests/store/test_durability.py::test_rows_told_as_stored_survive_sigkill_amid_writes",
            "tests/store/test_outbox.py::test_after_a_crash_what_was_on_its_way_is_due_at_once",
        ),
    ),
    Clause(
        "9.1",
        "Content that no message can carry, or that is too long, is refused before anything is stored.",
        (
            "tests/agent/test_sending.py::test_a_query_that_no_message_can_carry_is_refused_in_words_and_nothing_is_stored",
            "tests/agent/test_sending.py::test_a_title_that_fits_no_message_is_refused_without_a_connection",
            "tests/agent/test_sending.py::test_the_limit_of_the_relay_last_used_counts_after_a_restart_too",
        ),
    ),
    Clause(
        "9.1",
        "A row that fails takes no other with it, nor what arrives.",
        (
            "tests/agent/test_sending.py::test_a_stored_message_that_cannot_be_sealed_fails_alone_and_is_told",
            "tests/agent/test_sending.py::test_a_fault_of_ours_with_one_message_ends_that_message_only",
            "tests/agent/test_sending.py::test_a_fault_in_sending_does_not_take_what_arrived_with_it",
        ),
    ),
    Clause(
        "9.1",
        "RECIPIENT_NOT_FOUND costs no attempt.",
        (
            "tests/protocol/test_delivery.py::test_a_recipient_who_is_not_there_costs_no_attempt",
            "tests/store/test_outbox.py::test_a_peer_that_goes_offline_parks_its_messages_and_one_probes",
        ),
    ),
    Clause(
        "9.1",
        "What waits outlives a relay that is down and an agent that is restarted.",
        (
            "tests/end_to_end/test_main_job.py::test_a_proposal_made_while_the_relay_is_down_arrives_once_it_is_back",
            "tests/end_to_end/test_main_job.py::test_an_answer_given_while_the_relay_is_down_arrives_once_it_is_back",
            "tests/end_to_end/test_main_job.py::test_a_proposal_made_before_a_restart_of_its_agent_is_still_sent",
        ),
    ),
    Clause(
        "9.1",
        "The states of a row are a table; a receipt is believed whenever it comes.",
        (
            "tests/protocol/test_delivery.py::test_a_receipt_is_believed_whenever_it_comes",
            "tests/protocol/test_delivery.py::test_what_is_over_is_not_sent_sealed_expired_or_failed_again",
            "tests/agent/test_outcomes.py::test_what_is_over_stays_over_whatever_the_relay_says",
            "tests/protocol/test_delivery.py::test_a_lost_connection_puts_back_what_was_in_flight_and_nothing_else",
        ),
    ),
    Clause(
        "9.2",
        "Retries double from 5 s to 5 min.",
        ("tests/protocol/test_delivery.py::test_retries_double_from_five_seconds_to_five_minutes",),
    ),
    Clause(
        "9.2",
        "Reconnecting starts at once, then 1 s growing by half up to 30 s, each 20 % more or less.",
        (
            "tests/transport/test_connection.py::test_reconnecting_starts_at_once_and_then_follows_the_schedule",
            "tests/transport/test_backoff.py::test_delays_grow_by_half_from_one_second_to_thirty",
            "tests/transport/test_backoff.py::test_every_delay_stays_within_twenty_percent",
        ),
    ),
    Clause(
        "9.2",
        "At most 12 attempts are made while the peer is online; RECIPIENT_NOT_FOUND is probed every 5 min.",
        (
            "tests/agent/test_delivery.py::test_retries_come_after_five_seconds_doubling_up_to_five_minutes_twelve_times",
            "tests/agent/test_delivery.py::test_not_found_spends_no_attempt_and_is_probed_every_five_minutes",
        ),
    ),
    Clause(
        "9.2",
        "A HANDSHAKE or a watch set that the relay refuses with a recoverable ERROR goes again after retryAfter.",
        (
            "tests/agent/test_outcomes.py::test_a_watch_set_that_the_relay_refused_is_sent_again_when_it_may",
            "tests/agent/test_outcomes.py::test_a_watch_set_that_the_relay_cannot_read_is_written_once_more_only",
            "tests/agent/test_outcomes.py::test_a_handshake_that_the_relay_refused_goes_again_when_it_may",
        ),
    ),
    Clause(
        "9.3",
        "A message expires after 7 days, a proposal with itself.",
        (
            "tests/protocol/test_delivery.py::test_a_message_expires_after_a_week_and_a_proposal_with_itself",
            "tests/agent/test_meeting.py::test_an_unanswered_proposal_expires_on_both_sides",
            "tests/agent/test_expiry.py::test_each_message_expires_in_its_own_time",
            "tests/agent/test_expiry.py::test_a_hundred_messages_that_expire_together_all_end_without_a_connection",
            "tests/agent/test_expiry.py::test_what_expired_while_the_machine_slept_is_not_sent_by_the_next_connection",
        ),
    ),
    Clause(
        "9.3",
        "First in, first out inside a conversation; HIGH before NORMAL before LOW between them.",
        (
            "tests/store/test_outbox.py::test_messages_of_one_conversation_go_in_order",
            "tests/protocol/test_delivery.py::test_high_goes_before_normal_before_low",
            "tests/store/test_outbox.py::test_urgent_conversations_go_first",
            "tests/store/test_outbox.py::test_what_goes_back_to_wait_is_not_overtaken_by_what_is_more_urgent",
            "tests/agent/test_sending.py::test_urgent_messages_do_not_overtake_when_all_are_sealed_anew",
        ),
    ),
    Clause(
        "9.3",
        "A message that waits holds back its own conversation only, and a peer that acknowledges nothing only itself.",
        (
            "tests/agent/test_sending.py::test_a_hundred_messages_behind_one_that_waits_for_keys_keep_nobody_elses_back",
            "tests/agent/test_sending.py::test_a_peer_that_never_acknowledges_keeps_nobody_elses_messages_back",
            "tests/store/test_outbox.py::test_those_behind_one_that_waits_take_nobody_elses_place",
        ),
    ),
    Clause(
        "9.3",
        "Whatever crashes, a message is shown once.",
        (
            "tests/agent/test_crashes.py::test_a_crash_at_any_stage_loses_nothing_and_shows_nothing_twice",
            "tests/crypto/test_convergence.py::test_whatever_happens_on_the_way_each_message_is_handed_on_exactly_once",
        ),
    ),
    Clause(
        "10.1",
        "A key is pinned at approval; an agent that is not approved gets no answer.",
        (
            "tests/agent/test_trust.py::test_an_agent_that_is_not_approved_gets_no_answer",
            "tests/agent/test_trust.py::test_approval_answers_the_handshake_that_waited",
            "tests/protocol/test_contact.py::test_nothing_that_a_stranger_sends_makes_them_trusted",
        ),
    ),
    Clause(
        "10.1",
        "A blocked agent is neither answered nor shown.",
        (
            "tests/agent/test_trust.py::test_a_blocked_agent_is_neither_answered_nor_shown",
            "tests/agent/test_trust.py::test_a_blocked_agent_gets_nothing_whatever_it_sends",
        ),
    ),
    Clause(
        "10.1",
        "The states of a contact are a table; nothing that a stranger sends makes them trusted.",
        (
            "tests/protocol/test_contact.py::test_nothing_that_a_stranger_sends_makes_them_trusted",
            "tests/protocol/test_contact.py::test_a_proof_moves_nobody_else",
            "tests/protocol/test_contact.py::test_only_the_person_lifts_a_block",
        ),
    ),
    Clause(
        "10.2",
        "Another key than the pinned one stops sending until the person decides.",
        (
            "tests/agent/test_trust.py::test_a_changed_key_stops_sending_until_the_person_decides",
            "tests/agent/test_trust.py::test_refusing_a_changed_key_restores_the_contact_and_remembers_the_key",
            "tests/agent/test_trust.py::test_accepting_a_changed_key_holds_what_waited_and_starts_anew",
        ),
    ),
    Clause(
        "10.2",
        "Accepting pins the new key as approved and holds what waited; refusing restores and remembers.",
        (
            "tests/agent/test_trust.py::test_accepting_a_changed_key_holds_what_waited_and_starts_anew",
            "tests/agent/test_trust.py::test_refusing_a_changed_key_restores_the_contact_and_remembers_the_key",
            "tests/protocol/test_contact.py::test_a_changed_key_is_accepted_as_approved_and_not_as_verified",
        ),
    ),
    Clause(
        "10.2",
        "Under an accepted key proposals and our own queries go on; what the old key asked is dropped.",
        (
            "tests/agent/test_identities.py::test_a_key_that_was_accepted_goes_on_with_proposals_and_queries_of_ours",
            "tests/agent/test_identities.py::test_what_the_old_key_asked_waits_no_more_once_another_is_accepted",
            "tests/agent/test_identities.py::test_what_was_proposed_before_a_contacts_key_was_known_is_proposed_to_the_key_that_answers",
        ),
    ),
    Clause(
        "10.2",
        "Sessions of the pinned key go on receiving, and are not answered.",
        (
            "tests/agent/test_receiving.py::test_in_key_changed_messages_of_the_pinned_key_are_received_and_not_answered",
            "tests/agent/test_trust.py::test_in_key_changed_nothing_but_receipts_goes_out_whatever_comes",
        ),
    ),
    Clause(
        "10.3",
        "The safety number follows its definition; both sides see the same.",
        (
            "tests/crypto/test_safety_number.py::test_the_number_follows_its_definition",
            "tests/crypto/test_safety_number.py::test_both_sides_see_the_same_number",
            "tests/crypto/test_safety_number.py::test_someone_in_between_gives_the_two_sides_different_numbers",
        ),
    ),
    Clause(
        "10.4",
        "A link binds to the first key that uses it, expires and can be withdrawn.",
        (
            "tests/store/test_records.py::test_a_link_binds_to_the_first_key_that_uses_it",
            "tests/agent/test_trust.py::test_a_link_approves_only_the_first_key_that_uses_it",
            "tests/agent/test_trust.py::test_a_link_that_a_known_agent_has_used_approves_nobody_else",
            "tests/agent/test_trust.py::test_two_links_used_at_the_same_time_are_both_used_up",
            "tests/agent/test_trust.py::test_a_withdrawn_link_can_only_ask",
            "tests/store/test_records.py::test_an_expired_or_withdrawn_link_is_not_usable",
        ),
    ),
    Clause(
        "10.4",
        "Removing a contact withdraws the links that its key has used; opening a link proves it even where a session stands.",
        (
            "tests/agent/test_trust.py::test_a_removed_contact_can_only_ask_again_though_it_still_holds_a_link",
            "tests/agent/test_trust.py::test_a_removed_contact_leaves_no_sharing_policy_behind",
            "tests/agent/test_identities.py::test_links_that_a_removed_contact_has_used_approve_none_of_its_keys",
        ),
    ),
    Clause(
        "10.4",
        "A proof is bound to token, key and pair, so that the relay cannot spend it.",
        (
            "tests/crypto/test_handshake.py::test_a_contact_proof_is_hmac_over_key_and_pair",
            "tests/crypto/test_handshake.py::test_a_proof_for_another_token_key_or_pair_is_refused",
        ),
    ),
    Clause(
        "10.4",
        "A link with another key than the pinned one changes nothing.",
        ("tests/agent/test_trust.py::test_a_link_with_another_key_than_the_pinned_one_changes_nothing",),
    ),
    Clause(
        "10.4",
        "What is not exactly a contact link is refused whole.",
        (
            "tests/protocol/test_contact_link.py::test_what_is_not_exactly_a_contact_link_is_refused_in_words",
            "tests/protocol/test_contact_link.py::test_a_refusal_does_not_repeat_the_secret",
        ),
    ),
    Clause(
        "10.4",
        "A link that is used, expired or for another relay says so.",
        (
            "tests/agent/test_trust.py::test_links_that_cannot_be_used_say_why",
            "tests/agent/test_trust.py::test_a_withdrawn_link_can_only_ask",
        ),
    ),
    Clause(
        "11.1",
        "A token is for one origin, is taken once and expires.",
        (
            "tests/relay/test_attacks.py::test_a_token_that_proves_nothing_is_refused_and_spends_no_invite",
            "tests/relay/test_attacks.py::test_a_token_is_taken_once",
            "tests/relay/test_attacks.py::test_an_expired_token_ends_the_connection_after_its_grace",
        ),
    ),
    Clause(
        "11.1",
        "serverTime of a refusal corrects the clock of tokens and nothing else.",
        (
            "tests/transport/test_connection.py::test_a_refused_clock_is_corrected_for_the_token_and_for_nothing_else",
            "tests/transport/test_with_relay.py::test_a_clock_that_is_hours_off_still_connects",
        ),
    ),
    Clause(
        "11.2",
        "An agentId belongs to the key that redeemed its invite; from then on cnf and invite are ignored.",
        (
            "tests/relay/test_attacks.py::test_a_registered_agents_cnf_and_invite_are_ignored",
            "tests/relay/test_attacks.py::test_an_invite_is_redeemed_once_and_again_only_by_the_same_key",
            "tests/relay/test_attacks.py::test_one_invite_lets_in_one_of_many_who_come_at_once",
        ),
    ),
    Clause(
        "11.2",
        "An invite is redeemed once, and again only by the same key.",
        (
            "tests/relay/test_attacks.py::test_an_invite_is_redeemed_once_and_again_only_by_the_same_key",
            "tests/relay/test_attacks.py::test_one_invite_lets_in_one_of_many_who_come_at_once",
            "tests/relay/test_attacks.py::test_an_invite_for_one_agent_lets_in_no_other",
        ),
    ),
    Clause(
        "11.3",
        "Accounts of Firebase or another issuer claim an agentId with an invite and keep it.",
        (
            "tests/relay/test_accounts.py::test_an_account_claims_an_agent_id_with_an_invite_and_keeps_it",
            "tests/relay/test_accounts.py::test_firebase_tokens_that_are_not_for_us_are_refused",
            "tests/relay/test_accounts.py::test_foreign_keys_and_weaker_algorithms_are_refused",
        ),
    ),
    Clause(
        "11.3",
        "Key sets are fetched again for an unknown kid at most once a minute.",
        (
            "tests/relay/test_accounts.py::test_an_unknown_key_is_looked_for_once_a_minute_and_a_new_one_is_found",
        ),
    ),
    Clause(
        "11.4",
        "A join link carries relay, name, code and, for a self-signed relay, the pin.",
        (
            "tests/protocol/test_contact_link.py::test_a_join_link_is_written_as_the_document_says",
            "tests/relay/test_operation.py::test_a_self_signed_relay_puts_its_pin_into_the_invite_link",
        ),
    ),
    Clause(
        "11.4",
        "A code has 22 to 256 characters; what is not exactly a join link is refused.",
        (
            "tests/protocol/test_contact_link.py::test_a_code_of_22_to_256_characters_is_read",
            "tests/protocol/test_contact_link.py::test_a_code_of_other_length_is_damaged",
            "tests/protocol/test_contact_link.py::test_what_is_not_exactly_a_join_link_is_refused_in_words",
        ),
    ),
    Clause(
        "12",
        "Every code says whether and when to try again.",
        (
            "tests/relay/wire/test_errors.py::test_every_code_of_the_document_stands_in_the_table_with_its_strategy",
            "tests/relay/wire/test_errors.py::test_every_code_says_whether_and_when_to_try_again",
        ),
    ),
    Clause(
        "12",
        "The delays are those of the table.",
        ("tests/relay/wire/test_errors.py::test_the_delays_are_those_of_the_document",),
    ),
    Clause(
        "13.1",
        "Each log entry is hashed with the one before it; a changed, removed or swapped one changes the head.",
        (
            "tests/store/test_audit_log.py::test_each_entry_is_hashed_with_the_one_before_it",
            "tests/crypto/test_chain.py::test_a_changed_removed_or_swapped_entry_changes_the_head",
            "tests/store/test_audit_log.py::test_a_failed_job_leaves_nothing_in_log_or_index",
        ),
    ),
    Clause(
        "13.1",
        "An export keeps the chain whole around what a filter left out; each forgery in it is found.",
        (
            "tests/audit/test_export.py::test_what_a_filter_leaves_out_stays_as_stubs",
            "tests/audit/test_export.py::test_every_forgery_in_a_file_is_found",
        ),
    ),
    Clause(
        "13.1",
        "An export is its owner's alone: another name, another key, an unsigned end or a changed first line is found.",
        (
            "tests/audit/test_exported.py::test_a_file_under_another_agents_name_is_found_at_the_first_entry_that_knows_better",
            "tests/audit/test_exported.py::test_a_file_cut_off_and_signed_by_a_strangers_key_is_found",
            "tests/audit/test_exported.py::test_a_file_whose_end_nobody_signed_is_not_intact",
            "tests/audit/test_exported.py::test_a_changed_first_line_is_found",
            "tests/audit/test_exported.py::test_an_export_of_the_older_form_is_refused_in_words",
            "tests/crypto/test_chain.py::test_an_export_is_signed_with_its_end_its_delivery_steps_and_its_first_line",
        ),
    ),
    Clause(
        "13.1",
        "No delivery step of an export can be changed, whatever covers it; what only the owner vouches for is counted.",
        (
            "tests/audit/test_exported.py::test_a_delivery_that_was_changed_is_found_in_every_form_of_export",
            "tests/audit/test_exported.py::test_a_delivery_that_only_the_owner_vouches_for_is_counted",
        ),
    ),
    Clause(
        "13.1",
        "Verifying names the first bad entry.",
        (
            "tests/audit/test_verify.py::test_every_changed_column_of_every_row_is_found",
            "tests/audit/test_verify.py::test_every_deleted_entry_is_named",
            "tests/audit/test_verify.py::test_every_swap_is_found_where_it_begins",
        ),
    ),
    Clause(
        "13.1",
        "Two logs are compared by id, signature and the heads in receipts.",
        (
            "tests/audit/test_compare.py::test_two_whole_logs_agree",
            "tests/audit/test_compare.py::test_a_log_cut_off_behind_a_receipt_is_shown_by_the_others_copy",
        ),
    ),
    Clause(
        "13.2",
        "Keys are wrapped with AES-256-GCM under Argon2id or a key in the keyring; never a new identity silently, never plaintext.",
        (
            "tests/vault/test_wrap.py::test_wrapping_is_aes_256_gcm",
            "tests/vault/test_kdf.py::test_the_key_is_argon2ids",
            "tests/vault/test_vault.py::test_a_missing_vault_is_told_and_not_replaced",
            "tests/vault/test_vault.py::test_a_vault_file_demands_a_passphrase",
            "tests/vault/test_vault.py::test_another_backend_is_told_and_stops",
        ),
    ),
    Clause(
        "13.2",
        "Neither database nor vault file holds plaintext.",
        (
            "tests/store/test_opening.py::test_neither_the_file_nor_its_write_ahead_log_holds_plaintext",
            "tests/vault/test_vault.py::test_no_secret_stands_in_the_vault_file",
        ),
    ),
    Clause(
        "13.3",
        "A backup opens with its passphrase only and holds no plaintext.",
        (
            "tests/vault/test_backup.py::test_a_backup_reads_back",
            "tests/vault/test_backup.py::test_a_wrong_passphrase_is_told",
            "tests/vault/test_backup.py::test_a_backup_file_is_for_its_owner_only_and_holds_no_plaintext",
        ),
    ),
)
