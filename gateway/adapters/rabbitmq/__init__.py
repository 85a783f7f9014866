"""RabbitMQ, which keeps tasks until a region has them."""
