// go_member CLIENT BOOTSTRAP GROUP TOPIC: one member of a classic group, until it is killed or gets
// SIGTERM. It prints "partition offset value" for each record and commits only what it has printed.
// CLIENT: kafka-go (segmentio) or sarama (IBM).
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/IBM/sarama"
	"github.com/segmentio/kafka-go"
)

const (
	session   = 6 * time.Second
	heartbeat = time.Second
)

type member struct {
	brokers      []string
	group, topic string
}

func show(partition int32, offset int64, value []byte) {
	fmt.Printf("%d %d %s\n", partition, offset, value)
}

func (m member) kafkaGo(ctx context.Context) error {
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: m.brokers, GroupID: m.group, Topic: m.topic, StartOffset: kafka.FirstOffset,
		SessionTimeout: session, HeartbeatInterval: heartbeat, RebalanceTimeout: session,
		MaxWait: 200 * time.Millisecond,
	})
	defer reader.Close()
	for {
		message, err := reader.FetchMessage(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		show(int32(message.Partition), message.Offset, message.Value)
		if err := reader.CommitMessages(ctx, message); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
}

// What sarama calls for the partitions of one generation.
type claims struct{}

func (claims) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (claims) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (claims) ConsumeClaim(s sarama.ConsumerGroupSession, c sarama.ConsumerGroupClaim) error {
	for {
		select {
		case message, open := <-c.Messages():
			if !open {
				return nil
			}
			show(message.Partition, message.Offset, message.Value)
			s.MarkMessage(message, "")
		case <-s.Context().Done():
			return nil
		}
	}
}

func (m member) sarama(ctx context.Context) error {
	config := sarama.NewConfig()
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Interval = 100 * time.Millisecond
	config.Consumer.Group.Session.Timeout = session
	config.Consumer.Group.Heartbeat.Interval = heartbeat
	group, err := sarama.NewConsumerGroup(m.brokers, m.group, config)
	if err != nil {
		return err
	}
	defer group.Close()
	for ctx.Err() == nil {
		// An error ends a generation; the next call joins again, as its documentation has it.
		if err := group.Consume(ctx, []string{m.topic}, claims{}); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	return nil
}

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: go_member CLIENT BOOTSTRAP GROUP TOPIC")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	m := member{strings.Split(os.Args[2], ","), os.Args[3], os.Args[4]}
	run := map[string]func(context.Context) error{"kafka-go": m.kafkaGo, "sarama": m.sarama}[os.Args[1]]
	if run == nil {
		fmt.Fprintln(os.Stderr, "no client", os.Args[1])
		os.Exit(2)
	}
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
