"""Networks and their training: the only home of PyTorch, which the extra «learned» installs. Importing this loads none of it."""
